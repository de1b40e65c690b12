// The laboratory's commands do what docs/reliability.md says. Their long runs are stages of continuous integration.
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { applies } from '../../scripts/patches.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = await readFile(join(root, 'docs', 'reliability.md'), 'utf8')

function run(script, given, environment = {}) {
  const child = spawn(process.execPath, [join(root, 'scripts', script), ...given], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      output += data
    })
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, output })))
}

test.serial('seeds keep all promises, and a seed repeats the same run', async (t) => {
  t.timeout(600_000)
  const many = await run('simulate.mjs', ['--seeds', '100'])
  t.is(many.status, 0, many.output)
  t.regex(many.output, /^100 seeds from 1 keep all promises: \d+ steps, \d+ connections, \d+ messages/)
  const first = await run('simulate.mjs', ['--seed', '7'])
  const again = await run('simulate.mjs', ['--seed', '7'])
  t.regex(first.output, /digest [0-9a-f]{16}/)
  t.is(first.output, again.output)
  const traced = await run('simulate.mjs', ['--seed', '7', '--trace'])
  t.true(traced.output.endsWith(first.output))
  t.regex(traced.output, /gets a message of \d+ bytes/)
  const other = await run('simulate.mjs', ['--seed', '8'])
  t.not(other.output.match(/digest .*/)[0], first.output.match(/digest .*/)[0])
})

// Seeds that once found a bug. Their course changes with the engine and the simulation, so they prove little but cost nothing.
const FOUND = {
  1795289142388: 'a WELCOME behind a failed send took the deadline of a half-dead client away',
  1795289255074:
    'a ring whose end was left unused after the last byte before it had been sent never counted as empty',
  1795289629868:
    'a server that was refused memory stopped accepting for ever, although places had become free meanwhile',
  10729:
    'a session whose connection broke before its ring had moved there counted messages as not sent that were received',
  127: 'a connection that was writable twice in a poll had two drain events for one refusal',
  1795942795314: 'a client that had given up an attempt to resume its session ended the session with a CLOSE',
  1795973995862: 'a batch of long messages had no bound, because bytes that were copied did not count',
  36088:
    'the stream of a peer that was replaced ended before a long message of which the system had taken nothing yet',
  5044: 'the ring of a connection that broke was used again while the system read from it'
}

for (const [seed, bug] of Object.entries(FOUND)) {
  test.serial(`seed ${seed}: ${bug}`, async (t) => {
    t.timeout(600_000)
    const { status, output } = await run('simulate.mjs', ['--seed', seed])
    t.is(status, 0, output)
  })
}

test.serial('a planted bug is found, and its command finds it again', async (t) => {
  t.timeout(600_000)
  const { status, output } = await run('mutations.mjs', ['double_disconnect'])
  t.is(status, 0, output)
  t.regex(output, /^found {5}double_disconnect +seed \d+: Disconnected comes/)
})

test('every planted bug applies to the code as it is', async (t) => {
  for (const folder of ['lab/mutations', 'lab/windows/planted']) {
    const names = await readdir(join(root, folder))
    t.true(names.length > 5)
    for (const name of names) t.true(applies(root, await readFile(join(root, folder, name), 'utf8')), name)
  }
})

test('fuzzing without clang says what is missing', async (t) => {
  const { status, output } = await run('fuzz.mjs', [], { CLANGXX: 'no-such-compiler' })
  t.is(status, 2)
  t.regex(output, /apt-get install clang/)
})

test('docs/reliability.md names every planted bug and every fuzz target, and its commands exist', async (t) => {
  const patches = (await readdir(join(root, 'lab', 'mutations'))).map((name) => name.replace('.patch', ''))
  t.true(patches.length > 20)
  for (const name of patches) t.true(page.includes(`\`${name}\``), name)
  for (const name of await readdir(join(root, 'lab', 'fuzz', 'corpus')))
    t.true(page.includes(`| \`${name}\` |`), name)
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const commands = [...page.matchAll(/^npm run (\S+)/gm)].map((match) => match[1])
  t.true(commands.length > 5)
  for (const name of commands) t.truthy(scripts[name], name)
})
