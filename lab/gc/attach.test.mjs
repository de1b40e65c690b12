// `zerio gc --attach`: a process that runs already is measured for some time, and left as it was.
//
// Not a part of `npm test`: the search for a crash of the measured process takes long. Run it as: npx ava --config lab/gc/ava.config.mjs
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { runScript } from '../../test/helpers/child.mjs'
import { runCommand, startCommand } from '../../test/helpers/command.mjs'
import { outputOf } from '../../test/helpers/output.mjs'
import { until } from '../../test/helpers/until.mjs'

const folder = mkdtempSync(join(tmpdir(), 'zerio-attach-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'server.mjs')
writeFileSync(
  file,
  `
    import { Worker, isMainThread } from 'node:worker_threads'
    let kept
    function allocate() { for (let i = 0; i < 200; i++) kept = new Array(100).fill(i) }
    setInterval(allocate, 5)
    process.on('message', () => process.send({ exit: process.listenerCount('exit'), kept: kept.length }))
    if (isMainThread) new Worker(new URL(import.meta.url)).once('online', () => console.log('started'))
  `
)

const startServer = (t, ...flags) => startProgram(t, file, ...flags)

async function startProgram(t, program, ...flags) {
  // Another inspector may use the default port.
  const child = spawn(process.execPath, ['--inspect-port=127.0.0.1:0', ...flags, program], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const output = outputOf(child)
  await until(() => /started/.test(output.stdout), 'the server starts')
  const ask = () =>
    new Promise((resolve) => {
      child.once('message', resolve)
      child.send('')
    })
  return { child, output, ask }
}

/** Where an inspector has been opened. */
const addressesIn = ({ stderr }) =>
  [...stderr.matchAll(/^Debugger listening on ws:\/\/([\d.]+:\d+)\//gm)].map(([, address]) => address)
const isOpen = (address) =>
  fetch(`http://${address}/json/version`).then(
    () => true,
    () => false
  )

// Reports go through folders of the system's temporary one.
process.env.TMPDIR = folder
const left = () => readdirSync(folder).filter((name) => name.startsWith('zerio-gc-'))

if (process.platform === 'linux') {
  test.serial('a process is measured by its id, with its worker, and twice', async (t) => {
    const { child, output, ask } = await startServer(t)
    const html = join(folder, 'attached.html')
    for (let round = 1; round <= 2; round++) {
      const args = ['gc', '--attach', String(child.pid), '--seconds', '1', '--json', '--html', html]
      const { code, stdout, stderr } = await runCommand(args)
      t.is(code, 0, stderr)
      const report = JSON.parse(stdout)
      t.true(report.complete)
      t.deepEqual(report.parts.map(({ name }) => name).sort(), ['node server.mjs', 'worker 1 server.mjs'])
      for (const part of report.parts) {
        t.is(part.pid, child.pid)
        t.true(part.elapsedMs >= 500)
        t.true(part.heapBytes > 848 * 200 * 10, String(part.heapBytes))
      }
      t.true(report.topAllocators.some(({ url }) => url.endsWith('server.mjs')))
      t.regex(readFileSync(html, 'utf8'), /<div id="flame"/)
      // The inspector is closed again, and nothing is left in the process.
      const addresses = addressesIn(output)
      t.is(addresses.length, round)
      t.false(await isOpen(addresses.at(-1)))
      t.is((await ask()).exit, 0)
    }
    t.deepEqual(left(), [])
  })

  test.serial('a process that ends meanwhile leaves what was known last', async (t) => {
    const { child } = await startServer(t)
    const command = startCommand(['gc', '--attach', String(child.pid), '--seconds', '30'])
    await command.prints(/^zerio gc {2}[\d.]+ m?s /m)
    child.kill('SIGKILL')
    const { code, stderr } = await command.ended
    t.is(code, 0, stderr)
    t.regex(
      stderr,
      /^zerio gc \(threads ended without a last report: what came after their last one is missing\)\ntime /m
    )
  })

  test.serial('Ctrl-C ends the measurement with a report, and not the process', async (t) => {
    const { child, ask } = await startServer(t)
    const command = startCommand(['gc', '--attach', String(child.pid), '--seconds', '30', '--top', '0'])
    await command.prints(/^zerio gc {2}[\d.]+ m?s /m)
    command.child.kill('SIGINT')
    const { code, stderr } = await command.ended
    t.is(code, 0)
    t.regex(stderr, /^zerio gc\ntime /m)
    t.is((await ask()).kept, 100)
  })

  test.serial('what is no Node.js process gets no signal', async (t) => {
    const sleeping = spawn('sleep', ['60'])
    t.teardown(() => sleeping.kill('SIGKILL'))
    const { code, stderr } = await runCommand(['gc', '--attach', String(sleeping.pid)])
    t.is(code, 2)
    t.regex(stderr, /^zerio gc: process \d+ is no Node\.js process, or /)
    t.is(sleeping.exitCode, null)
    t.is(sleeping.signalCode, null)
  })
}

test.serial('a process is measured by the address of its inspector, which stays open', async (t) => {
  const { output, ask } = await startServer(t, '--inspect')
  const [address] = addressesIn(output)
  const { code, stdout, stderr } = await runCommand(['gc', '--attach', address, '--seconds', '1', '--json'])
  t.is(code, 0, stderr)
  t.is(JSON.parse(stdout).parts.length, 2)
  t.is((await ask()).exit, 0)
  t.true(await isOpen(address))
})

test.serial('a measurement that ends while a report is written ends after it', async (t) => {
  // V8 runs what the inspector is asked in the middle of other code. So does the program here.
  const own = join(folder, 'own')
  mkdirSync(own)
  writeFileSync(join(own, 'task.json'), JSON.stringify({ commandPid: process.pid, topAllocators: 3 }))
  const { code, stdout, stderr } = await runScript(`
    import fs from 'node:fs'
    import { createRequire, syncBuiltinESMExports } from 'node:module'
    const require = createRequire(process.cwd() + '/')
    const { renameSync } = fs
    let written = 0
    fs.renameSync = (...args) => {
      // The first report is the one of the beginning.
      if (++written === 2) reporter.detach()
      renameSync(...args)
    }
    syncBuiltinESMExports()
    const reporter = require('./dist/cli/gc_preload.js')
    reporter.attachTo(${JSON.stringify(own)})
    setTimeout(() => console.log(JSON.parse(fs.readFileSync(${JSON.stringify(own)} + '/' + process.pid + '-0.state')).kind, process.listenerCount('exit')), 1000)
  `)
  t.is(stderr, '')
  t.is(code, 0)
  t.is(stdout, 'timeUp 0\n')
})

test.serial('a measurement begins and ends between the calls of the program', async (t) => {
  const program = join(folder, 'busy.mjs')
  // It is in its own code for nearly all of the time, and sees the reporter come and go by its listener.
  writeFileSync(
    program,
    `
      let isInside = false
      const seen = []
      // Node.js has a listener of its own until the program is loaded.
      setTimeout(() => {
        for (const name of ['newListener', 'removeListener']) {
          process.on(name, (event) => { if (event === 'exit') seen.push([name, isInside]) })
        }
        console.log('started')
      }, 100)
      setInterval(() => {
        isInside = true
        for (const end = performance.now() + 100; performance.now() < end;) Math.random()
        isInside = false
      }, 1)
      process.on('message', () => process.send(seen))
    `
  )
  const { output, ask } = await startProgram(t, program, '--inspect')
  for (let round = 0; round < 3; round++) {
    const { code, stderr } = await runCommand(['gc', '--attach', addressesIn(output)[0], '--seconds', '0.3'])
    t.is(code, 0, stderr)
  }
  const round = [
    ['newListener', false],
    ['removeListener', false]
  ]
  t.deepEqual(await ask(), [...round, ...round, ...round])
})

test.serial('workers that begin and are terminated meanwhile do not end the process', async (t) => {
  const program = join(folder, 'terminating.mjs')
  writeFileSync(
    program,
    `
      import { Worker, isMainThread } from 'node:worker_threads'
      let kept
      function allocate() { for (let i = 0; i < 200; i++) kept = new Array(100).fill(i) }
      setInterval(allocate, 5)
      function startNext() {
        const worker = new Worker(new URL(import.meta.url)).once('exit', startNext)
        setTimeout(() => worker.terminate(), Math.random() * 60)
      }
      if (isMainThread) {
        for (let i = 0; i < 3; i++) startNext()
        console.log('started')
      }
    `
  )
  const { child, output } = await startProgram(t, program, '--inspect')
  for (let round = 0; round < 4; round++) {
    const { code, stderr } = await runCommand(['gc', '--attach', addressesIn(output)[0], '--seconds', '3'])
    t.is(child.signalCode, null)
    t.is(code, 0, stderr)
  }
})

test.serial('Ctrl-C ends the wait for a process that is busy', async (t) => {
  const program = join(folder, 'stuck.mjs')
  writeFileSync(
    program,
    `
      console.log('started')
      for (const end = performance.now() + 4000; performance.now() < end;) Math.random()
      process.on('message', () => process.send({ exit: process.listenerCount('exit') }))
    `
  )
  const { output, ask } = await startProgram(t, program, '--inspect')
  const command = startCommand(['gc', '--attach', addressesIn(output)[0], '--seconds', '30'])
  await until(() => left().length > 0, 'the command is connected')
  command.child.kill('SIGINT')
  const { code, stderr } = await command.ended
  t.is(code, 1)
  t.is(stderr, 'zerio gc: the process has not returned to its event loop: there is no report\n')
  t.is((await ask()).exit, 0)
  t.deepEqual(left(), [])
})

test.serial('two commands do not measure one process at a time', async (t) => {
  const { output, ask } = await startServer(t, '--inspect')
  const [address] = addressesIn(output)
  const first = startCommand(['gc', '--attach', address, '--seconds', '3', '--json'])
  await until(
    () => left().some((name) => readdirSync(join(folder, name)).length > 2),
    'the first one has begun'
  )
  const second = await runCommand(['gc', '--attach', address, '--seconds', '1'])
  t.is(second.code, 1)
  t.is(second.stderr, 'zerio gc: the process cannot be measured: Error: another zerio gc measures it now\n')
  const { code, stdout } = await first.ended
  t.is(code, 0)
  t.true(JSON.parse(stdout).complete)
  t.is((await ask()).exit, 0)
})

test.serial('a command that is killed leaves the process as it was', async (t) => {
  const { output, ask } = await startServer(t, '--inspect')
  const command = startCommand(['gc', '--attach', addressesIn(output)[0], '--seconds', '30'])
  await until(
    () => left().some((name) => readdirSync(join(folder, name)).length > 2),
    'the measurement begins'
  )
  t.is((await ask()).exit, 1)
  command.child.kill('SIGKILL')
  await command.ended
  let listeners = 1
  for (const endMs = Date.now() + 20_000; listeners > 0 && Date.now() < endMs; )
    listeners = (await ask()).exit
  t.is(listeners, 0)
  for (const name of left()) rmSync(join(folder, name), { recursive: true })
})

test.serial('processes that cannot be attached to are named', async (t) => {
  for (const [args, message] of [
    [['--attach', 'server'], /--attach needs a process id, or HOST:PORT of an inspector, not 'server'/],
    [
      ['--attach', '127.0.0.1:1'],
      /no inspector answers at 127\.0\.0\.1:1 \(.*\); start the program with node --inspect/
    ],
    [['--attach', '1', 'app.js'], /--attach measures a process that runs already, and starts no program/],
    [['--attach', '1', '--warmup', '1'], /--warmup is for a program that starts/],
    ...(process.platform === 'linux' ? [[['--attach', '4194305'], /there is no process 4194305/]] : [])
  ]) {
    const { code, stderr } = await runCommand(['gc', ...args])
    t.is(code, 2, stderr)
    t.regex(stderr, message)
  }
})
