// The demo behind `npm start`, run as users run it: as a process, judged by its output and exit code.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { childrenOf, untilGone } from '../helpers/proc.mjs'

const main = fileURLToPath(new URL('../../dist/demo/main.js', import.meta.url))

function start(...flags) {
  const run = { process: null, ended: null }
  run.ended = new Promise((resolve) => {
    run.process = execFile(process.execPath, [main, ...flags], (error, stdout, stderr) => {
      resolve({ exitCode: error ? error.code : 0, stdout, stderr })
    })
  })
  return run
}

function demo(...flags) {
  return start(...flags).ended
}

test('--help explains every flag', async (t) => {
  const { exitCode, stdout, stderr } = await demo('--help')
  t.is(exitCode, 0)
  t.is(stderr, '')
  for (const flag of [
    'seconds',
    'clients',
    'ticks-per-second',
    'orders-per-second',
    'wait',
    'port',
    'help'
  ]) {
    t.true(stdout.includes(`--${flag}`), flag)
  }
})

for (const flags of [
  ['--nonsense'],
  ['--seconds', '-1'],
  ['--clients', '0'],
  ['--wait', 'never'],
  ['stray']
]) {
  test(`a bad flag is one line on stderr: ${flags.join(' ')}`, async (t) => {
    const { exitCode, stdout, stderr } = await demo(...flags)
    t.is(exitCode, 2)
    t.is(stdout, '')
    t.regex(stderr, /^zerio demo: [^\n]+\n$/)
  })
}

// Runs that measure have the processors to themselves, as far as this file is concerned.
test.serial('a short run without a terminal loses nothing', async (t) => {
  const { exitCode, stdout, stderr } = await demo('--seconds', '2')
  t.is(stderr, '')
  t.is(exitCode, 0, stdout)
  for (const name of ['server', 'client-1', 'client-2']) {
    t.regex(stdout, new RegExp(`^ +1 s  ${name}  sent [\\d,]+/s`, 'm'))
  }
  t.regex(stdout, /^[1-9][\d,]* ticks received, 0 ticks lost, 0 out of order$/m)
  t.regex(stdout, /^[1-9][\d,]* orders sent, 0 orders unacknowledged, 0 rejected$/m)
})

test.serial('Ctrl-C ends a run with its summary', async (t) => {
  const run = start('--seconds', '600', '--clients', '1')
  await once(run.process.stdout, 'data')
  run.process.kill('SIGINT')
  const { exitCode, stdout } = await run.ended
  t.is(exitCode, 0)
  t.regex(stdout, /^Summary/m)
  t.regex(stdout, / 0 ticks lost, /)
})

test.serial('a process that dies is one line on stderr and the end of all', async (t) => {
  const run = start('--seconds', '600', '--clients', '2')
  await once(run.process.stdout, 'data')
  const children = childrenOf(run.process)
  t.is(children.length, 3)
  process.kill(children[1], 'SIGKILL')
  const { exitCode, stderr } = await run.ended
  t.is(exitCode, 1)
  t.regex(stderr, /^zerio demo: client-[12]: [^\n]+\n$/)
  await t.notThrowsAsync(untilGone(children))
})

test.serial('no process outlives the first one', async (t) => {
  const run = start('--seconds', '600', '--clients', '1')
  await once(run.process.stdout, 'data')
  const children = childrenOf(run.process)
  t.is(children.length, 2)
  run.process.kill('SIGKILL')
  await run.ended
  await t.notThrowsAsync(untilGone(children))
})

test.serial('a port that is taken is one line on stderr', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { exitCode, stderr } = await demo('--port', String(other.address().port))
  other.close()
  t.is(exitCode, 1)
  t.regex(stderr, /^zerio demo: server: [^\n]+\n$/)
})
