// The options of sessions: a client's `session`, and a server's `sessions`.
import { integer } from './option.js'

export const sessionTable = {
  resumeMs: integer({
    unit: 'milliseconds',
    min: 1,
    max: 86_400_000,
    default: 30_000,
    text: "How long the client tries to resume the session after its connection broke. The server's `resumeMsMax` may be less."
  })
}

export const sessionsTable = {
  resumeMsMax: integer({
    unit: 'milliseconds',
    min: 1,
    max: 86_400_000,
    default: 60_000,
    text: 'How long the server keeps a session whose connection broke.'
  }),
  sessionsMax: integer({
    unit: 'connections',
    min: 1,
    max: 60_000,
    default: 10_000,
    text: 'How many sessions there may be at the same time, with and without a connection. A peer that asks for one more is refused with `ZERIO_SERVER_FULL`.'
  })
}
