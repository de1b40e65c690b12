// Runs every example of the documentation, as a user would, and checks what it prints.
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import typescript from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = [
  'README.md',
  ...(await readdir(join(root, 'docs')))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name))
]
const examples = new Map()
for (const page of pages) {
  const text = await readFile(join(root, page), 'utf8')
  for (const [, name, code] of text.matchAll(/<!-- run: (\S+) -->\n```js\n([\s\S]*?)```/g))
    examples.set(name, code)
}

const folder = await mkdtemp(join(tmpdir(), 'zerio-docs-'))
await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
test.after.always(() => rm(folder, { recursive: true }))

/** `await using` needs Node.js 24; the page says that TypeScript compiles it for older ones. */
function compiled(code) {
  if (!code.includes('await using') || Number.parseInt(process.versions.node, 10) >= 24) return code
  const compilerOptions = { target: 'ES2022', module: 'ESNext' }
  return typescript.transpileModule(code, { compilerOptions }).outputText
}

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })

async function run(t, name, port) {
  // Inside the repository the package refers to itself, elsewhere its users install it.
  const code = compiled(examples.get(name))
    .replaceAll("'zerio'", `'${new URL('../../dist/index.mjs', import.meta.url)}'`)
    .replaceAll("'zerio/gc'", `'${new URL('../../dist/gc/index.mjs', import.meta.url)}'`)
  const file = join(folder, `${port ?? 0}-${name}`)
  await writeFile(file, port === undefined ? code : code.replaceAll('48654', port))
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const result = { child, output: '', errors: '', waiting: [] }
  child.stdout.on('data', (data) => {
    result.output += data
    for (const check of result.waiting) check()
  })
  child.stderr.on('data', (data) => {
    result.errors += data
  })
  result.prints = (text) =>
    new Promise((resolve) => {
      const check = () => result.output.includes(text) && resolve()
      result.waiting.push(check)
      check()
    })
  // A process may exit before this test has read all of its output.
  result.exits = new Promise((resolve) => child.on('close', resolve))
  return result
}

test('the server and the client of the README talk', async (t) => {
  const port = await freePort()
  const server = await run(t, 'server.mjs', port)
  await server.prints(`listening on ${port}`)
  const client = await run(t, 'client.mjs', port)
  t.is(await client.exits, 0)
  t.is(client.output, 'oui\n')
  await server.prints('client-1 left: the connection was closed')
  t.true(server.output.includes('client-1 is here'))
  t.is(server.errors + client.errors, '')
})

const outputs = {
  'assert.mjs': "The function 'addPrice' allocates 16 B per operation, and may allocate 0 B.\n",
  'await_using.mjs': 'oui\nboth have stopped\n',
  'channel.mjs': 'channel 5: abcdefgh\nchannel 0: fgh\nchannel 7: fgh\n',
  'claim.mjs': 'trader bids 1469.25 for 100\n',
  'compare.mjs': 'parseText: 56 bytes\nreadBytes: 0 bytes, less; time: less\n',
  'conditions.mjs': 'as from far away\n',
  'runs.mjs': '7.5\n',
  'descriptor.mjs': 'client is here\n',
  'drain.mjs': '100000 messages\n',
  'latest.mjs': '0 1.09\n1 150.5\n1 150.6\n',
  'live.mjs': '500000 round trips, 0 bytes each\n',
  'manual.mjs': '1 answer\n',
  'measure.mjs': '40 bytes an operation\n',
  'pair.mjs': 'there and back\nZERIO_NORMAL\n',
  'path.mjs': 'oui true\n',
  'probe.mjs': '32 bytes\n',
  'several.mjs': 'welcome\nZERIO_UNAUTHORIZED\n',
  'pausing.mjs': 'one two three four\n',
  'slow_peer.mjs': 'sleeper left: ZERIO_ABORTED, 20 stay\n',
  'topics.mjs': 'ZERIO_SUBSCRIBE_REFUSED\n1 of 1 took it\n1.0832\n',
  'status.mjs': '100 messages, up to 1000 a second: true\n',
  'waker.mjs': '1.25\n'
}
for (const [name, expected] of Object.entries(outputs)) {
  test(`${name} prints what it says`, async (t) => {
    const example = await run(t, name)
    t.is(await example.exits, 0)
    t.is(example.output, expected)
    t.is(example.errors, '')
  })
}

test('no example is left out', (t) => {
  t.deepEqual([...examples.keys()].sort(), ['client.mjs', 'server.mjs', ...Object.keys(outputs)].sort())
})

test('docs/options.md names every option and its default', async (t) => {
  const page = await readFile(join(root, 'docs', 'options.md'), 'utf8')
  const source = await readFile(join(root, 'src', 'options', 'types.ts'), 'utf8')
  const names = [...source.matchAll(/^ {2}(\w+)\?: /gm)].map((match) => match[1])
  t.true(names.length > 20)
  for (const name of names)
    t.regex(page, new RegExp(`^\\| \`${name}\` \\| [^|]+ \\| [^|]+ \\| [^|]+ \\|$`, 'm'), name)
})
