// Runs the test suite inside Windows' node.exe under Wine.
//
//   npm run test:windows [-- --node 20,22 --mode winsock,rio --only suite,programs,planted --build mingw --jobs 2 test/x.test.mjs …]
//
// Once as Wine is, without Registered I/O, and once with the emulator (lab/windows/rio_emulator.cc) under the same addon, where
// any misuse of the API, and any object that is left at the end, fails the run. Nothing is installed here; what is missing is
// named. Output is in build/windows/results.
//
// `--again` runs a file that failed once more, and takes the second result: Wine loses a process or a wake-up now and then when the
// machine is busy. Both results are printed, and the files counted in the last line.
//
// `--share 1/2` runs half of the suite's files and plants half of the bugs, `--share 2/2` the others.
//
// `--build zig` takes the addon that `npm run prebuilds` makes in place of mingw-w64's, which has no planted bugs.
//
// `--everything` runs what lab/windows/exclusions.mjs leaves out, too, to see whether its reasons still hold.
//
// The last lines count tests as TAP does, so that a summary of several commands can add them up.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { exclusionsOf } from '../lab/windows/exclusions.mjs'
import { inShare } from './share.mjs'
import { runPlanted } from './windows_planted.mjs'
import { programs } from './windows_programs.mjs'
import { endWine, makePrefix, root, runNode, whatIsMissing } from './wine.mjs'

const FILE_TIMEOUT_MS = 240_000
// Of a busy machine; Windows has no such error for a program that is there.
const WINE_STARTS_NOTHING = /spawn(Sync \S+)? UNKNOWN/

const { values, positionals } = parseArgs({
  options: {
    node: { type: 'string', default: '20,22' },
    mode: { type: 'string', default: 'winsock,rio' },
    only: { type: 'string', default: 'suite,programs,planted' },
    share: { type: 'string', default: '1/1' },
    build: { type: 'string', default: 'mingw' },
    jobs: { type: 'string', default: '2' },
    again: { type: 'boolean', default: false },
    everything: { type: 'boolean', default: false }
  },
  allowPositionals: true
})
const majors = values.node.split(',')
const modes = values.mode.split(',')
const parts = positionals.length > 0 ? ['suite'] : values.only.split(',')

/** The number that ava's TAP ends with for what passed ('pass') or failed ('fail'). */
const count = (text, what) => Number(new RegExp(`^# ${what} (\\d+)`, 'm').exec(text)?.[1] ?? 0)

/** So that this is no part of the TAP of the whole. */
const indented = (text) => text.trimEnd().replaceAll(/^/gm, '    ')

async function runFile(major, mode, file) {
  const name = basename(file, '.test.mjs')
  const without = values.everything ? [] : exclusionsOf(name, mode)
  const lines = without.map(({ title, reason }) => `- ${name}: ${title}: not run, ${reason}`)
  const result = { passed: 0, failed: 0, requests: 0 }
  if (!without.some(({ title }) => title === '*')) {
    const matches = without.flatMap(({ title }) => ['--match', `!${title}`])
    const args = ['node_modules/ava/entrypoints/cli.mjs', '--tap', '--timeout=60s', ...matches, file]
    const run = () => runNode(major, mode, args, { name, timeoutMs: FILE_TIMEOUT_MS })
    let ran = await run()
    if (
      WINE_STARTS_NOTHING.test(ran.text) ||
      (values.again && ran.code !== 0 && ran.violations.length === 0)
    ) {
      lines.push(`- ${name}: once more, after it failed:`, indented(ran.text))
      repeated++
      ran = await run()
    }
    const { code, text, seconds, violations, processes, requests } = ran
    result.passed = count(text, 'pass')
    result.failed = Math.max(count(text, 'fail'), code === 0 ? 0 : 1) + violations.length
    result.requests = requests
    const verdict = `${result.failed > 0 ? 'FAILED' : 'ok'} node ${major}, ${mode}, ${name}: ${result.passed} passed, ${result.failed} failed, ${seconds} s`
    const emulator = `; ${requests} requests of ${processes} processes, ${violations.length} violations`
    lines.push(mode === 'rio' ? verdict + emulator : verdict, ...violations)
    if (result.failed > 0) lines.push(indented(text))
  }
  console.log(lines.join('\n'))
  return result
}

if (values.build === 'zig') {
  const args = ['scripts/prebuilds.mjs', 'win32-x64']
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) process.exit(1)
}
const missing = whatIsMissing(majors)
if (missing !== undefined) {
  process.stderr.write(`${missing}\n`)
  process.exit(1)
}
await makePrefix()
const files =
  positionals.length > 0
    ? positionals
    : readdirSync(join(root, 'test'), { recursive: true })
        .filter((name) => name.endsWith('.test.mjs'))
        .sort()
        .filter(inShare(values.share))
        .map((name) => `test/${name}`)
let repeated = 0
const sum = { passed: 0, failed: 0, requests: 0 }
const add = (result) => {
  for (const key of Object.keys(sum)) sum[key] += result[key]
}

const runs = majors.flatMap((major) => modes.map((mode) => [major, mode]))
const queue = []
if (parts.includes('suite'))
  queue.push(...runs.flatMap(([major, mode]) => files.map((file) => () => runFile(major, mode, file))))
if (parts.includes('programs')) queue.push(...runs.flatMap(([major, mode]) => programs(major, mode)))
async function work() {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) add(await next())
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work))
if (parts.includes('planted')) add(await runPlanted(majors[0], { share: values.share }))
endWine()
console.log(
  `${sum.passed} tests passed, ${sum.failed} tests failed in Windows Node.js ${values.node} under Wine; ${sum.requests} emulated requests, ${repeated} files run again`
)
console.log(`# pass ${sum.passed}\n# fail ${sum.failed}`)
process.exitCode = sum.failed > 0 ? 1 : 0
