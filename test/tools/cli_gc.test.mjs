// `zerio gc`: programs run as without it, and what they cost the garbage collector is reported.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { commandFile, runCommand, startCommand } from '../helpers/command.mjs'
import { until } from '../helpers/until.mjs'

const folder = await mkdtemp(join(tmpdir(), 'zerio-cli-'))
test.after.always(() => rm(folder, { recursive: true }))
const terminal = fileURLToPath(new URL('../helpers/terminal.py', import.meta.url))

async function program(name, source) {
  const file = join(folder, name)
  await writeFile(file, source)
  return file
}

/** Allocates `count` objects of 32 bytes, some in each turn of the event loop, so that reports can come in between. */
const allocate = `
  let kept
  async function allocate(count) {
    for (let i = 0; i < count; i++) {
      kept = { x: i }
      if (i % 1000000 === 0) await new Promise(setImmediate)
    }
  }
`
function isAlive(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const forEver = 'setInterval(() => {}, 1000)'

test.serial('an ES module runs as without it; the report is on stderr', async (t) => {
  const file = await program(
    'app.mjs',
    `${allocate}; await allocate(3e6); console.log(process.argv.slice(2).join(), process.env.ZERIO_GC_TASK); process.exitCode = 7`
  )
  const { code, stdout, stderr } = await runCommand(['gc', '--top', '1', file, 'one', '--json'])
  t.is(code, 7)
  t.is(stdout, 'one,--json undefined\n')
  t.regex(stderr, /^zerio gc\ntime /m)
  t.regex(stderr, /^heap +(9\d\.\d|1[01]\d) MB /m)
  t.regex(stderr, /^collections +\d+ minor/m)
  t.regex(stderr, /^top allocating functions\n +\d+\.\d % +[\d.]+ MB +allocate /m)
})

test.serial('a program may have a probe of its own', async (t) => {
  const probe = new URL('../../dist/gc/index.mjs', import.meta.url)
  const file = await program(
    'probes.mjs',
    `import { GcProbe } from '${probe}'; console.log(GcProbe.measure((i) => ({ x: i }), { operations: 1e6 }).heapBytesPerOperation)`
  )
  const { code, stdout, stderr } = await runCommand(['gc', file])
  t.is(code, 0)
  t.true(Math.abs(Number(stdout) - 32) < 1, stdout)
  t.regex(stderr, /^zerio gc\ntime /m)
})

test.serial("--top 0 leaves V8's sampler to the program", async (t) => {
  const file = await program(
    'samples.cjs',
    `
      const { Session } = require('node:inspector')
      const session = new Session()
      session.connect()
      session.post('HeapProfiler.startSampling', { samplingInterval: 1024 })
      const bytesOf = ({ selfSize, children }) => children.reduce((bytes, child) => bytes + bytesOf(child), selfSize)
      globalThis.kept = Array.from({ length: 100000 }, (_, i) => ({ x: i }))
      setTimeout(() => {
        session.post('HeapProfiler.stopSampling', (error, result) => {
          console.log(error?.message ?? bytesOf(result.profile.head))
        })
      }, 1500)
    `
  )
  const { code, stdout } = await runCommand(['gc', '--top', '0', file])
  t.is(code, 0)
  t.true(Number(stdout) > 2e6, stdout)
})

test.serial('CommonJS programs and standard input work, and the report may be JSON', async (t) => {
  const file = await program(
    'app.cjs',
    `${allocate}; process.stdin.on('data', (text) => process.stdout.write(text)); allocate(2e6).then(() => process.exit(3))`
  )
  // On a busy machine the optimizer is late, and code that is not optimized allocates more: then once more.
  let report
  for (let attempts = 0; attempts < 5 && !(report?.heapBytes < 72e6); attempts++) {
    const { code, stdout, stderr } = await runCommand(['gc', '--json', file], { input: 'hello' })
    t.is(code, 3)
    t.is(stderr, 'hello')
    report = JSON.parse(stdout)
    t.true(report.complete)
    t.true(report.heapBytes > 64e6, String(report.heapBytes))
    t.true(report.collections.minor > 0)
  }
  t.true(report.heapBytes < 72e6, String(report.heapBytes))
  t.is(report.topAllocators[0].functionName, 'allocate')
})

test.serial('a program that does not end gets live lines and is ended after --seconds', async (t) => {
  const file = await program('server.cjs', `${allocate}; setInterval(() => allocate(1e5), 20)`)
  const { code, stdout, stderr } = await runCommand(['gc', '--warmup', '0.2', '--seconds', '1.6', file])
  t.is(code, 0)
  t.is(stdout, '')
  t.regex(stderr, /^zerio gc {2}[\d.]+ m?s {2}heap \d+(\.\d+)? [kM]B\/s {2}external .* paused .*%$/m)
  t.regex(stderr, /^time +[12]\.\d+ s$/m)
})

test.serial('--seconds ends a program that ignores SIGTERM', async (t) => {
  const file = await program('stubborn.cjs', `process.on('SIGTERM', () => {}); ${forEver}`)
  const { code, stdout } = await runCommand(['gc', '--json', '--seconds', '0.2', file])
  t.is(code, 0)
  t.true(JSON.parse(stdout).elapsedMs >= 200)
})

test.serial('a program that ends before --seconds is over ends as without it', async (t) => {
  const done = join(folder, 'done')
  for (const [name, source, exitCode] of [
    ['exits.cjs', 'setTimeout(() => process.exit(3), 50)', 3],
    ['throws.cjs', `setTimeout(() => { throw new Error('soon') }, 50)`, 1],
    [
      'cleans_up.cjs',
      `process.on('exit', () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)
        require('node:fs').writeFileSync(${JSON.stringify(done)}, 'yes')
      })`,
      0
    ]
  ]) {
    const file = await program(name, source)
    const { code, stdout } = await runCommand(['gc', '--json', '--seconds', '20', file])
    t.is(code, exitCode, name)
    const { complete, elapsedMs } = JSON.parse(stdout)
    t.true(complete && elapsedMs < 20_000, name)
  }
  t.is(await readFile(done, 'utf8'), 'yes')
})

test.serial('a program that ends within its warm-up leaves no report, and that is no success', async (t) => {
  for (const [source, exitCode] of [
    ['', 1],
    ['process.exit(4)', 4]
  ]) {
    const file = await program('short.cjs', source)
    for (const flags of [['--json'], []]) {
      const { code, stdout, stderr } = await runCommand(['gc', ...flags, '--warmup', '20', file])
      t.is(code, exitCode, source)
      t.is(stdout, '')
      t.is(stderr, 'zerio gc: the program ended before the warm-up was over: there is no report\n')
    }
  }
})

test.serial('a reader of stderr that leaves ends neither the program nor the command', async (t) => {
  const file = await program('outlives.cjs', 'setTimeout(() => process.exit(7), 2500)')
  const run = startCommand(['gc', file])
  await run.prints(/^zerio gc {2}/m)
  run.child.stderr.destroy()
  t.is((await run.ended).code, 7)
})

test.serial('a program that fails reports too', async (t) => {
  const file = await program('fails.mjs', `throw new Error('at once')`)
  const { code, stderr, stdout } = await runCommand(['gc', '--json', file])
  t.is(code, 1)
  t.regex(stderr, /at once/)
  t.true(JSON.parse(stdout).complete)
})

test.serial('SIGINT leaves the decision to the program', async (t) => {
  const handling = await program(
    'handles.cjs',
    `process.on('SIGINT', () => process.exit(5)); console.log('ready'); ${forEver}`
  )
  const handled = startCommand(['gc', handling])
  await handled.prints(/ready/)
  handled.child.kill('SIGINT')
  const { code, stderr } = await handled.ended
  t.is(code, 5)
  t.regex(stderr, /^zerio gc\ntime /m)

  const dying = await program(
    'dies.cjs',
    `${allocate}; allocate(3e6).then(() => console.log('ready')); ${forEver}`
  )
  const died = startCommand(['gc', dying])
  await died.prints(/ready/)
  died.child.kill('SIGINT')
  const result = await died.ended
  t.is(result.code, 130)
  // The program has written its last report, with samples, before the signal ended it.
  t.regex(result.stderr, /^zerio gc\ntime [\s\S]* allocate /m)
})

test.serial(
  'a program that is stuck in a loop ends by its signal, and what was known last is reported',
  async (t) => {
    const file = await program(
      'stuck.cjs',
      `${allocate}; allocate(2e6).then(() => setTimeout(() => { console.log('stuck'); for (;;); }, 2000))`
    )
    const run = startCommand(['gc', file])
    await run.prints(/stuck/)
    run.child.kill('SIGTERM')
    const { code, stderr } = await run.ended
    t.is(code, 128 + 15)
    t.regex(stderr, /^zerio gc \(SIGTERM ended the program: its last [\d.]+ m?s is missing\)\ntime /m)
    t.regex(stderr, /^heap +[67]\d\.\d MB /m)
  }
)

test.serial('a program that is killed before it has reported leaves no figures', async (t) => {
  const file = await program('killed.cjs', `process.kill(process.pid, 'SIGKILL')`)
  const { code, stdout, stderr } = await runCommand(['gc', '--json', file])
  t.is(code, 128 + 9)
  t.is(stdout, '')
  t.regex(
    stderr,
    /^zerio gc: the program was ended by SIGKILL after .* without a return to its event loop: there is no report\n$/
  )
})

test.serial('a program that runs out of memory reports what was known last', async (t) => {
  const file = await program(
    'grows.cjs',
    'const kept = []; setInterval(() => { for (let i = 0; i < 2000; i++) kept.push(new Array(100).fill(i)) }, 20)'
  )
  const { code, stderr } = await runCommand(['gc', 'node', '--max-old-space-size=40', file])
  t.is(code, 128 + 6)
  const [, mb] = stderr.match(
    /^zerio gc \(SIGABRT ended the program: its last .* is missing\)\ntime .*\nheap +([\d.]+) MB /m
  )
  t.true(Number(mb) > 15 && Number(mb) < 60, mb)
})

for (const signal of ['SIGUSR2', 'SIGQUIT', 'SIGUSR1']) {
  test.serial(`${signal} reaches the program`, async (t) => {
    const file = await program(
      'signalled.cjs',
      `process.on('${signal}', () => process.exit(9)); console.log('ready'); ${forEver}`
    )
    const run = startCommand(['gc', file])
    await run.prints(/ready/)
    run.child.kill(signal)
    t.is((await run.ended).code, 9)
  })
}

test.serial('a program ends when the command is killed', async (t) => {
  const file = await program('left.cjs', `console.log(process.pid); ${forEver}`)
  const run = startCommand(['gc', file])
  const [pid] = await run.prints(/^\d+$/m)
  run.child.kill('SIGKILL')
  await until(() => !isAlive(Number(pid)), 'the program ends', 20_000)
  t.pass()
})

test.serial(
  'the program sees its listeners of signals alone, and its signals end it as before',
  async (t) => {
    const file = await program(
      'counts_listeners.cjs',
      `
      const counts = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal))
      const once = () => {}
      process.on('SIGTERM', once).off('SIGTERM', once)
      console.log(counts.join())
      process.kill(process.pid, 'SIGTERM')
      ${forEver}
    `
    )
    const { code, stdout } = await runCommand(['gc', file])
    t.is(stdout, '0,0,0\n')
    t.is(code, 128 + 15)
  }
)

test.serial('a third SIGINT ends a program that ignores them', async (t) => {
  const file = await program(
    'ignores.cjs',
    `let n = 0; process.on('SIGINT', () => console.log('ignored', ++n)); console.log('ready'); ${forEver}`
  )
  const run = startCommand(['gc', file])
  await run.prints(/ready/)
  run.child.kill('SIGINT')
  await run.prints(/ignored 1/)
  run.child.kill('SIGINT')
  await run.prints(/ignored 2/)
  run.child.kill('SIGINT')
  t.is((await run.ended).code, 128 + 9)
})

test.serial('a process that the program leaves behind does not hold the command', async (t) => {
  const file = await program(
    'leaves.cjs',
    `
      const { spawn } = require('node:child_process')
      const stays = spawn(process.execPath, ['--eval', 'setTimeout(() => {}, 60000)'], { detached: true, stdio: 'ignore' })
      stays.unref()
      console.log(stays.pid)
    `
  )
  const { code, stdout, stderr } = await runCommand(['gc', file], { timeoutMs: 30_000 })
  t.true(isAlive(Number(stdout)))
  process.kill(Number(stdout), 'SIGKILL')
  t.is(code, 0)
  t.is(stderr.match(/^time /gm)?.length, 1)
})

test.serial('the last lines of a terminal are live, and given back at the end', async (t) => {
  const file = await program(
    'prints.cjs',
    `${allocate}; let n = 0; const timer = setInterval(() => { allocate(1e5); console.log('line ' + ++n); if (n === 30) clearInterval(timer) }, 50)`
  )
  const command = ['python3', terminal, '', process.execPath, commandFile]
  const { code, stdout } = await runCommand(['gc', file], { command })
  t.is(code, 0)
  // The scroll region is set once, above four lines, and reset.
  t.is(stdout.split('\x1b[1;20r').length, 2)
  // A second after the command began, of which the program had less.
  t.regex(stdout.split('\x1b[21;1H\x1b[2K')[1], /^-- zerio gc {2}[\d.]+ m?s /)
  const reset = stdout.indexOf('\x1b[r')
  t.true(reset > stdout.indexOf('\x1b[1;20r'))
  t.true(stdout.indexOf('zerio gc\r\ntime ') > reset)
  for (const line of [1, 2, 29, 30]) t.true(stdout.includes(`line ${line}\r\n`), String(line))
})

test.serial('Ctrl-C in a terminal reaches the program once', async (t) => {
  const file = await program(
    'counts.cjs',
    `
      let interrupts = 0
      process.on('SIGINT', () => {
        interrupts++
        // A second one would come at once.
        setTimeout(() => process.exit(40 + interrupts), 300)
      })
      console.log('ready')
      ${forEver}
    `
  )
  const command = ['python3', terminal, 'ready', process.execPath, commandFile]
  const { code, stdout } = await runCommand(['gc', file], { command })
  t.is(code, 41)
  t.true(stdout.includes('zerio gc\r\ntime '))
})

for (const args of [
  ['gc'],
  ['gc', '--nonsense', 'app.js'],
  ['gc', '--top', '-1', 'app.js'],
  ['gc', '--top=1.5', 'app.js'],
  ['gc', '--seconds', '0', 'app.js'],
  ['gc', '--warmup'],
  ['gc', 'no-such-program.js'],
  [],
  ['nonsense'],
  ['--nonsense']
]) {
  test.serial(`a mistake is one line on stderr: zerio ${args.join(' ')}`, async (t) => {
    const { code, stdout, stderr } = await runCommand(args)
    t.is(code, 2)
    t.is(stdout, '')
    t.regex(stderr, /^zerio( gc)?: [^\n]+\n$/)
  })
}

test.serial('--help explains the commands and every flag; --version says which', async (t) => {
  const all = await runCommand(['--help'])
  t.is(all.code, 0)
  t.regex(all.stdout, /^ {2}gc .*\n {2}bench /m)
  const gc = await runCommand(['gc', '--help'])
  t.is(gc.code, 0)
  for (const flag of ['seconds', 'warmup', 'top', 'json', 'help'])
    t.regex(gc.stdout, new RegExp(`^  --${flag}[ ,]`, 'm'))
  t.deepEqual(await runCommand(['-h']), all)
  t.deepEqual(await runCommand(['gc', '-h']), gc)
  t.deepEqual(await runCommand(['gc', '-h', 'no-such-program.js']), gc)
  const file = await program('arguments.cjs', 'console.log(process.argv[2])')
  t.is((await runCommand(['gc', file, '-h'])).stdout, '-h\n')
  t.regex((await runCommand(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
})
