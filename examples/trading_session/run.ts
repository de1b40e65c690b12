// The course of one run: start the processes, warm up, measure, drain, stop, sum up.

import { Child } from './child.js'
import type { Flags } from './flags.js'
import type { Row } from './format.js'
import { onInterrupt } from './interrupt.js'
import type { Command } from './ipc.js'
import { openScreen } from './screen.js'
import { isWhole, summary } from './summary.js'

/** Until then V8 has compiled the handlers: before, every double it computes is an object. */
const warmUpMs = 2000
const stepLimitMs = 10_000

/** Resolves with the exit code; rejects with the one sentence that says what went wrong. */
export async function run(flags: Flags): Promise<number> {
  const children: Child[] = []
  const rows: Row[] = []
  const screen = openScreen(rows, flags)
  const interrupt = onInterrupt(() => {
    for (const child of children) child.killNow()
    process.exit(130)
  })
  let fail: (error: Error) => void = () => {}
  const failure = new Promise<never>((_, reject) => {
    fail = reject
  })

  const launch = (role: 'server' | 'client', name: string, port: number): Child => {
    const row: Row = { name, second: null, window: null, integrity: null }
    const child = new Child(
      role,
      { flags, name, port },
      {
        report(second, window) {
          Object.assign(row, { second, window })
          screen.update(row)
        },
        done(window, integrity) {
          Object.assign(row, { window, integrity })
        },
        failed: fail
      }
    )
    rows.push(row)
    children.push(child)
    return child
  }
  const tellAll = (command: Command) => {
    for (const child of children) child.tell(command)
  }
  const all = async (what: string, promises: Promise<void>[]) => {
    const timer = setTimeout(
      () => fail(new Error(`${what} took more than ${stepLimitMs / 1000} s`)),
      stepLimitMs
    )
    await Promise.race([Promise.all(promises), failure]).finally(() => clearTimeout(timer))
  }

  const course = async () => {
    const server = launch('server', 'server', flags.port)
    await all('starting the server', [server.ready])
    const clients = Array.from({ length: flags.clients }, (_, i) =>
      launch('client', `client-${i + 1}`, server.port)
    )
    await all(
      'starting the clients',
      clients.map((client) => client.ready)
    )
    await Promise.race([interrupt.after(warmUpMs), failure])
    if (!interrupt.happened) {
      tellAll('measure')
      await Promise.race([interrupt.after(flags.seconds * 1000), failure])
    }
    tellAll('drain')
    await all(
      'draining the orders',
      clients.map((client) => client.drained)
    )
    server.tell('finish')
    await all(
      'stopping',
      children.map((child) => child.gone)
    )
  }

  try {
    await course()
  } catch (error) {
    await Promise.all(children.map((child) => child.kill()))
    throw error
  } finally {
    interrupt.dispose()
    screen.close()
  }
  process.stdout.write(summary(rows, process.stdout.isTTY))
  return isWhole(rows) ? 0 : 1
}
