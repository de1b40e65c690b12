// `zerio gc`: which programs it runs, what they see of it, and that each thread and process of them is in the report.
import { fork } from 'node:child_process'
import { renameSync, utimesSync, writeFileSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import typescript from 'typescript'
import { commandFile, runCommand } from '../helpers/command.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'zerio-programs-'))
test.after.always(() => rm(folder, { recursive: true }))

async function program(name, source) {
  const file = join(folder, name)
  await writeFile(file, source)
  return file
}

const shell = (script, ...args) => ['/bin/sh', '-c', script, 'sh', process.execPath, commandFile, ...args]
const allocate =
  'let kept; function allocate(count) { for (let i = 0; i < count; i++) kept = new Array(100).fill(i) }'
/** Of `new Array(100).fill(i)`. */
const BYTES = 848

/** So large that Node.js starts a worker without a collection: what is before a worker's own code, nothing in it can see. */
const youngGeneration = ['--min-semi-space-size=4', '--max-semi-space-size=4']

/** V8's own lines of collections. */
const traced = (text, kind) => text.match(new RegExp(`^\\[.* ms: ${kind} .*$`, 'gm')) ?? []

test.serial("collections are those of V8's trace, of every thread and process", async (t) => {
  const file = await program(
    'family.cjs',
    `
      const { fork } = require('node:child_process')
      const { Worker, isMainThread } = require('node:worker_threads')
      ${allocate}
      if (process.argv[2] === 'child') allocate(40000)
      else if (!isMainThread) allocate(60000)
      else {
        allocate(20000)
        gc()
        fork(__filename, ['child']).on('exit', () => new Worker(__filename))
      }
    `
  )
  // Without samples, which V8 would collect for after the measurement.
  const flags = ['--expose-gc', '--trace-gc', ...youngGeneration]
  const args = ['gc', '--json', '--top', '0', 'node', ...flags, file]
  const { code, stdout, stderr } = await runCommand(args)
  t.is(code, 0)
  const report = JSON.parse(stdout)
  t.true(report.complete)
  t.deepEqual(
    report.parts.map(({ name }) => name),
    ['node family.cjs', 'node family.cjs', 'worker 1 family.cjs']
  )
  const [main, child, worker] = report.parts
  t.is(child.parentPid, main.pid)
  t.is(worker.pid, main.pid)
  for (const [part, count] of [
    [main, 20_000],
    [child, 40_000],
    [worker, 60_000]
  ]) {
    const [found, known] = [part.heapBytes / 1e6, (count * BYTES) / 1e6]
    t.true(found > known * 0.98 && found < known * 1.02 + 4, `${found} of ${known} MB`)
  }
  t.is(report.heapBytes, main.heapBytes + child.heapBytes + worker.heapBytes)
  t.is(report.collections.minor, traced(stderr, 'Scavenge').length)
  t.is(report.collections.major, traced(stderr, 'Mark-Compact').length)
  t.true(report.collections.major >= 1)
  // V8's pauses have no time of callbacks around them.
  const tracedMs = [...stderr.matchAll(/ MB, (?:pooled: \d+ MB, )?([\d.]+) \/ /g)].reduce(
    (sum, [, ms]) => sum + Number(ms),
    0
  )
  t.true(report.pauses.totalMs > tracedMs * 0.8, `${report.pauses.totalMs} of ${tracedMs} ms`)
})

test.serial('the text has a table of threads, and the sum', async (t) => {
  const file = await program(
    'workers.cjs',
    `
      const { Worker, isMainThread } = require('node:worker_threads')
      ${allocate}
      if (isMainThread) for (let i = 0; i < 21; i++) new Worker(__filename)
      else allocate(100)
    `
  )
  const { code, stderr } = await runCommand(['gc', '--top', '0', file])
  t.is(code, 0)
  t.regex(
    stderr,
    /^heap and external of 22 threads\n {2}[\d.]+ [kM]B .* \d+ (node|worker \d+) workers\.cjs\n/m
  )
  t.is(stderr.match(/ workers\.cjs$/gm).length, 20)
  t.regex(stderr, /^ {2}and 2 more$/m)
})

test.serial('a last report that follows another one at once is not missed', (t) => {
  const { GcFolder } = createRequire(import.meta.url)('../../dist/cli/gc_folder.js')
  const reports = new GcFolder({ commandPid: process.pid, warmupMs: 0, measureMs: 0, topAllocators: 0 })
  t.teardown(() => reports.remove())
  const file = join(reports.path, '1-0.state')
  const write = (kind) => {
    writeFileSync(`${file}.new`, JSON.stringify({ kind }))
    // As the file system's clock may have it.
    utimesSync(`${file}.new`, 1, 1)
    renameSync(`${file}.new`, file)
  }
  // Both names have as many letters.
  write('alive')
  t.deepEqual(reports.read(), [{ kind: 'alive' }])
  write('final')
  t.deepEqual(reports.read(), [{ kind: 'final' }])
})

test.serial('a worker that is terminated reports what was known last, and that it is not all', async (t) => {
  const file = await program(
    'terminates.cjs',
    `
      const { Worker, isMainThread } = require('node:worker_threads')
      ${allocate}
      if (isMainThread) {
        const worker = new Worker(__filename)
        setTimeout(() => worker.terminate(), 1500)
      } else setInterval(() => allocate(100), 10)
    `
  )
  const { code, stdout } = await runCommand(['gc', '--json', file])
  t.is(code, 0)
  const { complete, parts } = JSON.parse(stdout)
  t.false(complete)
  t.deepEqual(
    parts.map((part) => part.complete),
    [true, false]
  )
  t.true(parts[1].elapsedMs > 500)
  const { stderr } = await runCommand(['gc', file])
  t.regex(stderr, /^zerio gc \(threads ended without a last report: .* is missing\)\ntime /m)
  t.regex(stderr, /worker 1 terminates\.cjs \(incomplete\)$/m)
})

for (const [what, main, send] of [
  [
    'a worker',
    `const worker = new Worker(__filename)
     worker.on('message', () => worker.terminate())
     worker.postMessage('go')`,
    `const { parentPort } = require('node:worker_threads')
     parentPort.on('message', () => { allocate(60000); parentPort.postMessage('done') })`
  ],
  [
    'a process',
    `const child = fork(__filename, ['child'])
     child.on('message', () => child.kill('SIGKILL'))
     child.send('go')`,
    "process.on('message', () => { allocate(60000); process.send('done') })"
  ]
]) {
  test.serial(`${what} that is ended for its message has reported before`, async (t) => {
    const file = await program(
      'answers.cjs',
      `
        const { fork } = require('node:child_process')
        const { Worker, isMainThread } = require('node:worker_threads')
        ${allocate}
        if (isMainThread && process.argv[2] !== 'child') { ${main} }
        else {
          // As fake timers of test runners do.
          globalThis.performance = { now: () => 0 }
          ${send}
        }
      `
    )
    const { code, stdout } = await runCommand(['gc', '--json', file])
    t.is(code, 0)
    const [, part] = JSON.parse(stdout).parts
    t.false(part.complete)
    const [found, known] = [part.heapBytes / 1e6, (60_000 * BYTES) / 1e6]
    t.true(found > known * 0.95 && found < known * 1.02 + 4, `${found} of ${known} MB`)
  })
}

test.serial('the functions that send messages look as without the command', async (t) => {
  const file = await program(
    'sends.cjs',
    `
      const { fork } = require('node:child_process')
      const { Worker, isMainThread, MessagePort, parentPort } = require('node:worker_threads')
      const shape = ({ name, length }, on) => JSON.stringify([name, length, Object.getOwnPropertyDescriptor(on, 'postMessage')?.enumerable])
      if (!isMainThread) parentPort.postMessage(shape(MessagePort.prototype.postMessage, MessagePort.prototype))
      else if (process.argv[2] === 'child') { process.send(shape(process.send, {}), undefined, {}, () => process.disconnect()) }
      else {
        new Worker(__filename).on('message', (text) => console.log('worker', text))
          .on('exit', () => fork(__filename, ['child']).on('message', (text) => console.log('child', text)))
      }
    `
  )
  const { stdout: expected } = await runCommand([file], { command: [process.execPath] })
  t.regex(expected, /^worker \["postMessage",.*\]\nchild \[.*\]\n$/)
  t.is((await runCommand(['gc', file])).stdout, expected)
})

test.serial(
  'the program has the path that was given, its own arguments of Node.js, and no channel',
  async (t) => {
    const file = await program(
      'real.cjs',
      'console.log(process.argv[1], process.execArgv.length, typeof process.send)'
    )
    const link = join(folder, 'link.cjs')
    await symlink(file, link)
    t.is((await runCommand(['gc', link])).stdout, `${link} 0 undefined\n`)
  }
)

test.serial('descriptors that the command was given are those of the program', async (t) => {
  const given = await program('given.txt', 'from the shell')
  const file = await program(
    'descriptors.cjs',
    `
      const fs = require('node:fs')
      console.log(fs.readFileSync(5, 'utf8'), fs.existsSync('/proc/self/fd/3') && fs.readlinkSync('/proc/self/fd/3').startsWith('pipe:'))
    `
  )
  const command = shell(`exec "$@" 5< ${given}`)
  const { code, stdout, stderr } = await runCommand(['gc', file], { command })
  t.is(code, 0, stderr)
  t.is(stdout, 'from the shell false\n')
})

test.serial('a program whose command was forked talks to the parent', async (t) => {
  const file = await program(
    'talks.cjs',
    `process.on('message', (message) => process.send({ answer: message.question + 1 }, () => process.disconnect()))`
  )
  const child = fork(commandFile, ['gc', file], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  const answer = new Promise((resolve) => child.on('message', resolve))
  child.send({ question: 41 })
  t.deepEqual(await answer, { answer: 42 })
  t.is(await ended, 0)
})

test.serial('neither the probe nor the command needs the native engine', async (t) => {
  const bare = join(folder, 'bare')
  await mkdir(bare)
  await cp(join(root, 'dist'), join(bare, 'dist'), { recursive: true })
  await cp(join(root, 'package.json'), join(bare, 'package.json'))
  const file = await program(
    'measures.cjs',
    `const { GcProbe } = require(${JSON.stringify(join(bare, 'dist/gc/index.js'))})
    console.log(GcProbe.measure((i) => ({ x: i }), { samplingBytes: 0 }).operations)`
  )
  const command = [process.execPath, '--no-addons', join(bare, 'dist', 'cli', 'main.js')]
  const { code, stdout, stderr } = await runCommand(['gc', file], { command })
  t.is(code, 0, stderr)
  t.is(stdout, '100000\n')
  t.regex(stderr, /^zerio gc\ntime /m)
})

test.serial('a program under the permission model reports, without its allocators', async (t) => {
  const file = await program('restricted.cjs', `${allocate}; allocate(10000); console.log('ran')`)
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  const { code, stdout, stderr } = await runCommand(['gc', 'node', flag, `--allow-fs-read=${file}`, file])
  t.is(code, 0, stderr)
  t.is(stdout, 'ran\n')
  t.regex(stderr, /^heap +(8|9)\.\d+ MB /m)
  t.regex(stderr, /^note: Who allocates is not known, because there is no inspector: /m)
})

test.serial('Node.js with flags, code, and commands are programs', async (t) => {
  const file = await program(
    'flags.cjs',
    'console.log(process.execArgv.join(), process.argv.slice(2).join())'
  )
  t.is((await runCommand(['gc', 'node', '--no-warnings', file, '-x'])).stdout, '--no-warnings -x\n')
  t.is((await runCommand(['gc', '-p', '1 + 1'])).stdout, '2\n')
  t.is((await runCommand(['gc', '--top', '0', '-e', 'console.log(process.argv[1])', 'one'])).stdout, 'one\n')
  // A command is found in node_modules/.bin; what it starts is measured.
  const bin = join(folder, 'node_modules', '.bin')
  await mkdir(bin, { recursive: true })
  const runner = `#!/bin/sh\nexec "${process.execPath}" "${file}" "$@"\n`
  await writeFile(join(bin, 'my-runner'), runner)
  await chmod(join(bin, 'my-runner'), 0o755)
  const command = shell(`cd "${folder}"; exec "$@"`)
  const { code, stdout, stderr } = await runCommand(['gc', 'my-runner', 'two'], { command })
  t.is(code, 0, stderr)
  t.is(stdout, ' two\n')
  t.regex(stderr, /^zerio gc\ntime /m)
  const unknown = await runCommand(['gc', '--max-old-space-size=50', file])
  t.is(unknown.code, 2)
  t.regex(
    unknown.stderr,
    /^zerio gc: unknown flag '--max-old-space-size=50'; .*: zerio gc node --max-old-space-size=50 \.\.\.\n$/
  )
})

test.serial('npm runs a script, and its programs are in the report', async (t) => {
  const home = join(folder, 'package')
  await mkdir(home)
  await writeFile(join(home, 'package.json'), JSON.stringify({ scripts: { app: 'node app.cjs' } }))
  await writeFile(join(home, 'app.cjs'), `${allocate}; allocate(20000)`)
  const command = shell(`cd "${home}"; exec "$@"`)
  const { code, stdout } = await runCommand(['gc', '--json', 'npm', 'run', '--silent', 'app'], { command })
  t.is(code, 0)
  const app = JSON.parse(stdout).parts.find(({ name }) => name === 'node app.cjs')
  t.true(app.heapBytes > 20_000 * BYTES)
  t.is(app.topAllocators[0].functionName, 'allocate')
})

test.serial('scripts that a loader compiles in memory have the lines of their sources', async (t) => {
  const source =
    'interface Trade {\n  price: number\n}\n\nlet kept: Trade[]\nexport function trade(count: number) {\n  for (let i = 0; i < count; i++) kept = [{ price: i }]\n}\ntrade(500_000)\n'
  const { outputText } = typescript.transpileModule(source, {
    fileName: 'loaded.ts',
    compilerOptions: { module: 'CommonJS', target: 'ES2022', inlineSourceMap: true }
  })
  await writeFile(join(folder, 'loaded.ts'), source)
  const file = await program(
    'loader.cjs',
    `
      const Module = require('node:module')
      require.extensions['.ts'] = (module, file) => module._compile(${JSON.stringify(outputText)}, file)
      require(${JSON.stringify(join(folder, 'loaded.ts'))})
    `
  )
  const { code, stdout } = await runCommand(['gc', '--json', file])
  t.is(code, 0)
  const top = JSON.parse(stdout).topAllocators.find(({ functionName }) => functionName === 'trade')
  t.is(top.url, join(folder, 'loaded.ts'))
  t.is(top.line, 6)
})
