// performance.eventLoopUtilization() of a server that is idle most of the time is low, because load shedding depends on it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ownEngine, startServer } from '../helpers/link.mjs'
import { until } from '../helpers/until.mjs'
import { backend, uring } from '../helpers/uring.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

// Without deferred task work the kernel interrupts libuv's wait, and libuv loses the idle time (docs/io_uring.md).
const defers = !(process.env.ZERIO_IO_URING_WITHOUT ?? '').includes('defer')
const run = defers ? uring.serial : uring.skip

run('an idle server is idle for the loop, too, with 100 small messages a second', async (t) => {
  const server = await startServer(t, { ...ownEngine({ waitStrategy: 'blocking' }), backend })
  let messages = 0
  server.onMessage = () => messages++
  const script = `
    import { ZerioClient } from 'zerio'
    const client = new ZerioClient({ host: '127.0.0.1', port: ${server.listeningPort} })
    await client.start('client')
    setInterval(() => client.send(Buffer.from('x')), 10)
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { cwd: root })
  t.teardown(() => child.kill())
  await until(() => messages > 10)
  const before = performance.eventLoopUtilization()
  await pause(800)
  const { utilization } = performance.eventLoopUtilization(before)
  t.true(utilization < 0.2, `${utilization}`)
  const ended = once(child, 'exit')
  child.kill()
  await ended
})
