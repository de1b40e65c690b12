// A client that finds no server for long keeps nothing of its attempts.
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

test('attempts to connect again leave no memory behind', async (t) => {
  const { code, stdout, stderr } = await runScript(
    `
    import { ZerioClient } from 'zerio'
    const lookup = (_name, _options, answer) => answer(null, '127.0.0.1')
    const reconnect = { first: true, delayMs: 1, delayMsMax: 1, jitter: 0 }
    const client = new ZerioClient({ host: 'a.test', port: 1 }, { reconnect, lookup })
    const heaps = []
    client.on('reconnecting', ({ attempt }) => {
      if (attempt % 400 !== 0) return
      gc()
      heaps.push(process.memoryUsage().heapUsed)
      if (heaps.length === 3) client.stop()
    })
    await client.start('client').catch(() => {})
    console.log(JSON.stringify(heaps))`,
    { flags: ['--expose-gc'] }
  )
  t.is(code, 0, stderr)
  const [, second, third] = JSON.parse(stdout)
  // A promise that kept its attempts took 4,200.
  t.true(third - second < 400 * 1000, `${Math.round((third - second) / 400)} bytes an attempt`)
})
