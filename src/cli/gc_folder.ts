// The folder in which the programs under `zerio gc` report: made by the command, read again and again, removed at the end.
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GcProfileData } from '../gc/profile.js'
import { type GcState, type GcTask, isStateFile, preloadFile, profileFile, taskFile } from './gc_channel.js'

/** A program that starts processes without end must not fill the command's memory. */
const statesMax = 10_000
const stateBytesMax = 16e6

export class GcFolder {
  readonly path: string
  /** By file, in the order in which they were seen. */
  readonly #states = new Map<string, { written: string; state: GcState }>()

  constructor(task: GcTask) {
    this.path = realpathSync(mkdtempSync(join(tmpdir(), 'zerio-gc-')))
    const reporter = join(__dirname, 'gc_preload.js')
    writeFileSync(taskFile(this.path), JSON.stringify(task))
    writeFileSync(preloadFile(this.path), `require(${JSON.stringify(reporter)}).reportInto(__dirname)\n`)
  }

  /** What each thread has written last. */
  read(): GcState[] {
    for (const name of readdirSync(this.path)) {
      if (!isStateFile(name)) continue
      if (!this.#states.has(name) && this.#states.size >= statesMax) continue
      const file = join(this.path, name)
      const { mtimeMs, ino, size } = statSync(file)
      // Each report is a new file, and two of them may be written within one tick of the file system's clock.
      const written = `${mtimeMs} ${ino} ${size}`
      if (this.#states.get(name)?.written === written || size > stateBytesMax) continue
      try {
        const state = JSON.parse(readFileSync(file, 'utf8')) as GcState
        this.#states.set(name, { written, state })
      } catch {
        // Something else wrote it.
      }
    }
    return [...this.#states.values()].map(({ state }) => state)
  }

  /** The stacks of a thread, where it has written them. */
  readProfile({ pid, threadId }: GcState): GcProfileData | undefined {
    try {
      return JSON.parse(readFileSync(profileFile(this.path, pid, threadId), 'utf8')) as GcProfileData
    } catch {
      return undefined
    }
  }

  /**
   * A process that the program has left behind may write a file meanwhile: then the folder is not empty, and it is tried again. One that
   * writes on and on must not cost the report.
   */
  remove(): void {
    try {
      rmSync(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
    } catch {
      // The system removes old files of its temporary folder.
    }
  }
}
