// The schedule of updates that every server of the section slow-consumers keeps, and what it reports of itself. A turn has `perTurn` updates
// and is due every `turnMs`; each update says when it was due, so that whatever makes the server late counts against it. A timer's callback
// sends one turn at most: a server that cannot keep up stays responsive, and its updates get old.
//
// Lines on stdin: `go` begins, `measure` begins to count collections, `stop` ends all of it.
import { PerformanceObserver } from 'node:perf_hooks'
import { endWithStdin, report } from './program.mjs'

const NS_PER_MS = 1e6

/** For servers without a clock of their own. */
export function readTime(target) {
  target[0] = Number(process.hrtime.bigint())
}

/**
 * @param {{ perTurn: number, turnMs: number }} schedule
 * @param {(first: number, end: number, dueNs: number) => void} sendTurn sends the updates from one sequence number to before another one
 * @param {{ clock?: (target: Float64Array) => void, more?: () => object }} own the server's clock, and what else it reports at the end
 */
export function serveUpdates({ perTurn, turnMs }, sendTurn, { clock = readTime, more = () => ({}) } = {}) {
  const now = new Float64Array(1)
  const due = new Float64Array(1)
  const collections = new Collections()
  let next = 1
  let timer
  const look = () => {
    clock(now)
    if (now[0] >= due[0]) {
      sendTurn(next, next + perTurn, due[0])
      next += perTurn
      due[0] += turnMs * NS_PER_MS
      clock(now)
    }
    timer = setTimeout(look, Math.ceil((due[0] - now[0]) / NS_PER_MS))
  }
  const commands = {
    go() {
      clock(due)
      look()
    },
    measure: () => collections.begin(),
    stop() {
      clearTimeout(timer)
      report({ updates: next - 1, ...collections.end(), ...more() })
    }
  }
  process.stdin.setEncoding('latin1').on('data', (lines) => {
    for (const line of lines.trim().split('\n')) commands[line]()
  })
  endWithStdin()
}

/** V8's collections between two moments. */
class Collections {
  #observer = new PerformanceObserver((list) => this.#take(list.getEntries()))
  #count = 0
  #pauseMs = 0

  begin() {
    // What was allocated before must not fill the nursery up now. Node needs --expose-gc for this.
    globalThis.gc()
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  end() {
    this.#take(this.#observer.takeRecords())
    this.#observer.disconnect()
    return { collections: this.#count, pauseMs: this.#pauseMs }
  }

  #take(entries) {
    for (const { duration } of entries) {
      this.#count++
      this.#pauseMs += duration
    }
  }
}
