// What programs pass to change a connection: the options that can change, checked.
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
      `Option "${name}" cannot change while there is a connection; these can: ${names.join(', ')}.`
  })
  for (const [name, value] of Object.entries(found)) checkOption(name, table[name], value)
  return found
}
