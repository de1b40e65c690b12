// Where things lie in the memory shared with the engine: the mirror of addon/engine/layout.h, checked at load.
import { native } from './native.js'

export const ENGINE_WORD_DIRTY_COUNT = 0
export const ENGINE_WORD_EVENTS_PRODUCED = 1
export const ENGINE_WORD_EVENTS_CONSUMED = 2

export const ENGINE_COUNTERS_OFFSET = 512
export const SERVERS_MAX = 64
export const SERVER_COUNTERS_OFFSET = 1024
export const SERVER_COUNTERS_BYTES = 256

export const SLOTS_MAX = 65536
export const DIRTY_OFFSET = SERVER_COUNTERS_OFFSET + SERVERS_MAX * SERVER_COUNTERS_BYTES
export const EVENTS_OFFSET = DIRTY_OFFSET + SLOTS_MAX * 4
export const EVENT_WORDS = 8

export const SLOT_BYTES = 128
export const SLOT_WORD_TAIL = 0
export const SLOT_WORD_WRAP_END = 1
export const SLOT_WORD_DRAIN_NEED = 2
export const SLOT_WORD_HEAD = 3
export const SLOT_COUNTERS_OFFSET = 64
export const SLOT_COUNTER_MESSAGES_SENT = 0
export const SLOT_COUNTER_BACK_PRESSURED = 1
export const SLOT_COUNTERS = (SLOT_BYTES - SLOT_COUNTERS_OFFSET) / 8

/** Assembly buffers in each slab beyond one per slot. */
export const SPARE_PER_SLAB = 16

export const HEADER_BYTES = 4
export const LENGTH_MASK = 0x00ffffff
export const CHANNEL_SHIFT = 24
export const CHANNEL_MAX = 127

export const EventKind = Object.freeze({
  Run: 1,
  Message: 2,
  Connected: 3,
  Disconnected: 4,
  Drain: 5,
  ConnectFailed: 6,
  Released: 7,
  Refused: 8,
  AcceptError: 9,
  SlotsLow: 10
})

const mirror: Readonly<Record<string, number>> = {
  serversMax: SERVERS_MAX,
  engineCountersOffset: ENGINE_COUNTERS_OFFSET,
  serverCountersOffset: SERVER_COUNTERS_OFFSET,
  serverCountersBytes: SERVER_COUNTERS_BYTES,
  slotsMax: SLOTS_MAX,
  dirtyOffset: DIRTY_OFFSET,
  eventsOffset: EVENTS_OFFSET,
  eventWords: EVENT_WORDS,
  slotBytes: SLOT_BYTES,
  slotCountersOffset: SLOT_COUNTERS_OFFSET,
  sparePerSlab: SPARE_PER_SLAB
}
for (const [name, value] of Object.entries(mirror)) {
  if (native.layout[name] !== value) {
    throw new Error(
      `zerio: the addon is of another build than the JavaScript (${name}); run "npm run build".`
    )
  }
}
