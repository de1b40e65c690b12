// The engines of this thread: which servers and clients share one, and for how long each is used.
import type { ResolvedEngineOptions, WaitStrategy } from '../options/options.js'
import { chooseBackend } from './backend.js'
import { Engine } from './engine.js'

const engines = new Map<string, Engine>()

/** Whether `spinUs` changes what an engine does. */
const spinsFor = (strategy: WaitStrategy) => strategy === 'hybrid' || strategy === 'adaptive'

/** The engine of this thread for these options; made when there is none. It ends with its last use, so use it at once. */
export function engineFor(options: ResolvedEngineOptions): Engine {
  const choice = chooseBackend(options.backend)
  const key = [
    choice.backend,
    options.waitStrategy,
    spinsFor(options.waitStrategy) ? options.spinUs : 0,
    options.maxMessageLength,
    options.sendRingBytes,
    options.receiveArenaBytes,
    JSON.stringify(options.conditions)
  ].join()
  let engine = engines.get(key)
  if (engine === undefined) {
    engine = new Engine(options, choice, () => engines.delete(key))
    engines.set(key, engine)
  }
  return engine
}

/** The use that one server, connection or attempt makes of an engine, until it is released. */
export class EngineUse {
  readonly #engine: Engine
  #referenced: boolean
  #released = false

  /** @param referenced whether this use keeps the process alive. */
  constructor(engine: Engine, referenced: boolean) {
    this.#engine = engine
    this.#referenced = referenced
    engine.retain(referenced)
  }

  /** Whether this use keeps the process alive. */
  set referenced(referenced: boolean) {
    if (this.#released || referenced === this.#referenced) return
    this.#referenced = referenced
    this.#engine.reference(referenced ? 1 : -1)
  }

  /** The last release of an engine ends it. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#engine.release(this.#referenced)
  }
}
