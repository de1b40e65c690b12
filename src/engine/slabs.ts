// The pools of one engine, slab by slab, and the send rings that live in their slots.
import type { ResolvedEngineOptions } from '../options/options.js'
import { Header, Layout } from './layout.js'
import type { SlabParts } from './native.js'
import { type MemoryKind, PoolAllocator, type PoolMemory, poolBuffer, type Slab } from './pool.js'
import type { SendRing } from './send_ring.js'

const PAGE_BYTES = 4096
const FIRST_SLAB_SLOTS = 16
/** Offsets above 2^30 would not be small integers everywhere, and V8 would box them. */
const SLAB_BYTES_MAX = 2 ** 30 - PAGE_BYTES
/** Every control frame fits into an assembly buffer, however short the messages. */
const ASSEMBLY_BYTES_MIN = 1024

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
}

/** Where the parts of the next slab begin. */
export interface SlabPlan extends SlabParts {
  readonly first: number
  readonly bytes: number
}

/** Makes `list` as long as there are slots. It is filled at once, so that it need not grow while messages flow. */
export function resize<Item>(list: (Item | undefined)[], slotCount: number): void {
  while (list.length < slotCount) list.push(undefined)
  list.length = slotCount
}

export class Slabs {
  /** Slab 0 begins with the core: control words, counters, dirty list, event ring and receive arena. */
  readonly list: Slab[] = []
  /** By slot: the ring of its present life. */
  readonly rings: (SendRing | undefined)[] = []
  readonly eventsCapacity: number
  readonly arenaOffset: number
  readonly coreBytes: number
  readonly assemblyBytes: number
  slotCount = 0
  readonly #sendRingBytes: number
  readonly #allocator = new PoolAllocator()

  constructor(options: ResolvedEngineOptions) {
    this.#sendRingBytes = options.sendRingBytes
    this.assemblyBytes = pages(Header.Bytes + Math.max(options.maxMessageLength, ASSEMBLY_BYTES_MIN))
    // One event for each 8 received bytes at most, and as many again as a page of other events.
    this.eventsCapacity = options.receiveArenaBytes / 8 + PAGE_BYTES
    this.arenaOffset = pages(Layout.EventsOffset + this.eventsCapacity * Layout.EventWords * 4)
    this.coreBytes = this.arenaOffset + pages(options.receiveArenaBytes)
  }

  get memory(): MemoryKind {
    return this.#allocator.kind
  }

  get memoryReason(): string {
    return this.#allocator.reason
  }

  /** Throws `ZERIO_OUT_OF_MEMORY`. */
  allocate(plan: SlabPlan): PoolMemory {
    return this.#allocator.allocate(plan.bytes)
  }

  /** The next slab: as many slots as there are already, as far as offsets and the engine's limit allow. */
  plan(): SlabPlan {
    const first = this.slotCount
    const slotsOffset = this.list.length === 0 ? this.coreBytes : 0
    const spareBytes = Layout.SparePerSlab * this.assemblyBytes + 2 * PAGE_BYTES
    const room = Math.floor(
      (SLAB_BYTES_MAX - slotsOffset - spareBytes) /
        (Layout.SlotBytes + this.#sendRingBytes + this.assemblyBytes)
    )
    const count = Math.max(1, Math.min(room, Math.max(FIRST_SLAB_SLOTS, first), Layout.SlotsMax - first))
    const ringsOffset = pages(slotsOffset + count * Layout.SlotBytes)
    const assembliesOffset = pages(ringsOffset + count * this.#sendRingBytes)
    const bytes = assembliesOffset + (count + Layout.SparePerSlab) * this.assemblyBytes
    return { first, count, slotsOffset, ringsOffset, assembliesOffset, bytes }
  }

  /** Lists a slab that the engine uses from now on. */
  add(plan: SlabPlan, memory: PoolMemory): Slab {
    const { first, count, slotsOffset, ringsOffset } = plan
    const buffer = poolBuffer(memory)
    const slab: Slab = {
      index: this.list.length,
      first,
      count,
      buffer,
      view: buffer.view,
      bytes: new Uint8Array(memory),
      words: new Int32Array(memory),
      slotsOffset,
      ringsOffset
    }
    this.list.push(slab)
    this.slotCount += count
    resize(this.rings, this.slotCount)
    return slab
  }

  /** Forgets the last slab, which the engine does not use any more. Views that the program still has of its memory show zeros. */
  removeLast(): void {
    this.slotCount = (this.list.pop() as Slab).first
    resize(this.rings, this.slotCount)
  }

  /** The slab that has this slot. */
  of(slot: number): Slab {
    return this.list.find((one) => slot < one.first + one.count) as Slab
  }
}
