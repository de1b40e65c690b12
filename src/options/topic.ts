// The options of a topic.
import { choice, integer } from './option.js'

export const topicTable = {
  slow: choice({
    values: ['skip', 'close', 'latest'],
    default: 'skip',
    text: 'What becomes of a member that reads too slowly. With `skip` it misses the messages for which its ring has no room. With `close` its connection ends with `ZERIO_SLOW_CONSUMER`. With `latest` the topic has keys with values, and such a member gets the newest value of each changed key, once, when there is room.',
    type: {
      name: 'SlowConsumers',
      text: 'What a topic does with members that read too slowly. See docs/topics.md.'
    }
  }),
  keysMax: integer({
    unit: 'keys',
    min: 1,
    max: 1_048_576,
    default: 1024,
    text: 'With `latest`: how many keys there are, from 0 on. Each member takes a bit for each of them.'
  }),
  valueBytesMax: integer({
    unit: 'bytes',
    min: 1,
    max: 16_777_211,
    default: 64,
    rangeText: '1 to `maxMessageLength - 4`; `keysMax * (valueBytesMax + 4)` at most 1,073,741,824',
    text: 'With `latest`: the longest value. The topic has so much memory for each key, which the system commits as it is used.'
  }),
  pendingBytesMax: integer({
    unit: 'bytes',
    min: 0,
    max: 536_870_912,
    default: 0,
    zero: 'what the ring holds',
    text: 'With `close`: how many bytes, as `peer.pendingBytes` counts them, may wait for a member when a message is published.'
  }),
  behindMs: integer({
    unit: 'milliseconds',
    min: 0,
    minBesideZero: 20,
    max: 3_600_000,
    default: 0,
    zero: 'no limit',
    text: 'With `close`: how long the oldest byte may wait for a member, whoever has sent it. It waits until the system takes it, in a session until the member acknowledges it. A timer looks four times within this time, so that the end comes at most a quarter of it late; a busy thread looks later.'
  })
}
