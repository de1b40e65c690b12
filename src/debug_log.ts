// Lines about servers and clients, for people who look for a fault: NODE_DEBUG=zerio, as for Node.js's own modules.
import { debuglog } from 'node:util'
import { printableText } from './errors.js'
import type { DisconnectReason } from './reason.js'

const log = debuglog('zerio')

/**
 * Writes one line to stderr; undefined unless NODE_DEBUG names zerio, so that `debugLog?.(…)` does not even make the text. For what
 * happens to servers and connections as a whole, never for a message.
 */
export const debugLog: ((text: string) => void) | undefined = log.enabled
  ? (text) => log('%s', printableText(text))
  : undefined

/** Why something ended, for a line. */
export function because({ code, message }: DisconnectReason | NodeJS.ErrnoException): string {
  return `${code}, ${message}`
}
