// What programs pass to change a connection: the options that can change, checked.
import { misuse } from '../errors.js'
import { readProperties } from './given.js'
import { checkOption, type OptionTable } from './option.js'
import { socketTable } from './socket.js'
import type { LiveOptions } from './types.js'

const table: OptionTable = socketTable
const names = Object.keys(table).filter((name) => table[name].live)

/** Throws `ZERIO_BAD_OPTION`. */
export function checkLiveOptions(given: unknown): LiveOptions {
  const found = readProperties(given, names, {
    code: 'ZERIO_BAD_OPTION',
    notAnObject: (what) => `configure needs an object with options, not ${what}.`,
    unknown: (name) =>
      `configure takes ${names.join(', ')}, and no "${name}": other options cannot change while there is a connection.`
  })
  for (const [name, value] of Object.entries(found)) checkOption(name, table[name], value)
  return found
}

/** What `setIdleTimeout` was given, as the option that it changes. Throws `ZERIO_BAD_OPTION`. */
export function checkIdleTimeout(given: unknown): LiveOptions {
  if (given === undefined)
    throw misuse('ZERIO_BAD_OPTION', 'setIdleTimeout needs a time in milliseconds, or 0 for none.')
  return checkLiveOptions({ idleTimeoutMs: given })
}
