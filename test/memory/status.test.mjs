// Reading a status makes no garbage: not one collection of the young generation in as many readings as would show four bytes each.
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

/** `read` runs 300,000 times between two collections that the script asks for; a young generation has 1 MiB. */
async function collections(t, read) {
  const { code, stdout, stderr } = await runScript(
    `
    import { StatusField, ZerioClient, ZerioServer } from 'zerio'
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 })
    await server.start('server')
    const client = new ZerioClient({ host: '127.0.0.1', port: server.listeningPort })
    await client.start('client')
    const status = new Float64Array(StatusField.Count)
    const read = () => { ${read} }
    const run = (times) => { for (let i = 0; i < times; i++) read() }
    for (let i = 0; i < 20; i++) { run(1000); await new Promise(setImmediate) }
    gc(); gc()
    run(300_000)
    gc()
    process.exit(0)`,
    { flags: ['--trace-gc', '--expose-gc', '--max-semi-space-size=1'] }
  )
  t.is(code, 0, stderr)
  const lines = stdout.split(/\r?\n/).filter((line) => /^\[\d+:/.test(line))
  const asked = lines.flatMap((line, index) => (line.includes(' testing;') ? [index] : []))
  t.is(asked.length, 3, stdout)
  return lines.slice(asked[1] + 1, asked[2])
}

test.serial('readStatus and rttUs make no garbage', async (t) => {
  const found = await collections(t, 'client.readStatus(status); if (client.rttUs > 0) throw new Error()')
  t.deepEqual(found, [])
})

test.serial('the test notices one small object for each reading', async (t) => {
  const found = await collections(t, 'client.readStatus(status); globalThis.kept = { status }')
  t.regex(found.join('\n'), /Scavenge/)
})
