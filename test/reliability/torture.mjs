// Each system call and each allocation of the addon fails once, in turn, in a scenario with a server and clients.
//
//   node test/reliability/torture.mjs [--only sendto] [--most 12] [--strategies blocking,spin] [--verbose]
//
// `--most` limits how many calls of a kind are tried with each error: the first ones, and the rest evenly spread. 0: all.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { inParallel, root, startChild, troubleOf } from './lib/processes.mjs'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    most: { type: 'string', default: '0' },
    strategies: { type: 'string', default: 'blocking,spin' },
    verbose: { type: 'boolean', default: false }
  }
})
const most = Number(values.most) || Number.POSITIVE_INFINITY

/** What the manual pages say that these can answer, as far as a program can meet it. */
const errors = {
  socket: ['EMFILE', 'ENOBUFS', 'ENOMEM'],
  bind: ['EADDRINUSE', 'EACCES'],
  listen: ['EADDRINUSE'],
  accept4: ['EMFILE', 'ENFILE', 'ENOMEM', 'ECONNABORTED', 'EINTR', 'EPERM'],
  connect: ['ECONNREFUSED', 'ENETUNREACH', 'EADDRNOTAVAIL'],
  epoll_create1: ['EMFILE', 'ENOMEM'],
  epoll_ctl: ['ENOMEM', 'ENOSPC'],
  epoll_wait: ['EINTR'],
  recvfrom: ['ECONNRESET', 'ETIMEDOUT', 'ENOMEM', 'EINTR', 'EAGAIN'],
  sendto: ['ECONNRESET', 'EPIPE', 'ENOBUFS', 'EINTR', 'EAGAIN'],
  sendmsg: ['ECONNRESET', 'EPIPE', 'ENOMEM', 'EINTR'],
  setsockopt: ['ENOBUFS'],
  getsockopt: ['ENOBUFS'],
  getsockname: ['ENOBUFS'],
  shutdown: ['ENOTCONN'],
  close: ['EINTR', 'EIO'],
  madvise: ['EAGAIN'],
  // Pools: WebAssembly.Memory refuses.
  pool: ['ENOMEM']
}
// operator new ends the process, as it does in Node.js itself: only on request.
if (values.only === 'operator_new') errors.operator_new = ['ENOMEM']

const library = join(root, 'build', 'reliability', 'fail_calls.so')
mkdirSync(join(root, 'build', 'reliability'), { recursive: true })
const source = join(root, 'test', 'reliability', 'native', 'fail_calls.cc')
execFileSync('g++', [
  '-std=c++20',
  '-O1',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-shared',
  '-fPIC',
  '-o',
  library,
  source,
  '-ldl'
])
const folder = mkdtempSync(join(tmpdir(), 'zerio-torture-'))
let runs = 0

async function run(strategy, failure) {
  const report = join(folder, `${++runs}.json`)
  const env = { LD_PRELOAD: library, FAIL_REPORT: report, ...failure }
  const result = await startChild('torture_child.mjs', [strategy], { timeoutMs: 40_000, env }).ended
  let counts = {}
  try {
    counts = JSON.parse(readFileSync(report, 'utf8'))
  } catch {}
  return { result, counts, trouble: troubleOf(result) }
}

function* chosen(count) {
  const tried = Math.min(count, most)
  const first = Math.ceil(tried / 2)
  for (let nth = 1; nth <= first; nth++) yield nth
  for (let i = 1; i <= tried - first; i++) yield first + Math.ceil((i * (count - first)) / (tried - first))
}

const outcomes = {}
let failed = 0
let met = 0
let survived = 0
let cases = 0
for (const strategy of values.strategies.split(',')) {
  const whole = await run(strategy, {})
  if (whole.trouble !== undefined) throw new Error(`without any failure: ${whole.trouble}`)
  const { descriptors } = whole.result.report
  const plan = []
  for (const [call, codes] of Object.entries(errors)) {
    if (!call.includes(values.only)) continue
    // The second scenario repeats the first.
    const count = call === 'pool' ? whole.result.report.pools : Math.ceil(whole.counts[call] * 0.55)
    for (const nth of chosen(count)) for (const code of codes) plan.push({ call, nth, code })
  }
  await inParallel(plan, 2, async ({ call, nth, code }) => {
    const failure = { FAIL_CALL: call, FAIL_NTH: nth, FAIL_ERRNO: constants.errno[code] }
    const { result, counts, trouble } = await run(strategy, failure)
    cases++
    let verdict = trouble
    const left = (result.report?.descriptors ?? 0) - descriptors
    if (verdict === undefined && left > 0) verdict = `${left} descriptors left`
    if (verdict !== undefined) {
      failed++
      console.log(`FAILED ${strategy} ${call} ${nth} ${code}: ${verdict.slice(0, 700)}`)
      return
    }
    if (!counts.failed && !result.report.refused) return
    met++
    const told = result.report.events.filter(
      (text) => !/: ZERIO_(NORMAL|APPLICATION|GOING_AWAY)$|raw left/.test(text)
    )
    if (told.length === 0) survived++
    outcomes[call] ??= { met: 0, survived: 0, told: {} }
    outcomes[call].met++
    if (told.length === 0) outcomes[call].survived++
    for (const text of new Set(told.map((one) => one.split(': ')[1])))
      outcomes[call].told[text] = (outcomes[call].told[text] ?? 0) + 1
    if (values.verbose) console.log(`${strategy} ${call} ${nth} ${code}: ${told.join(', ') || 'survived'}`)
  })
}
for (const [call, { met, survived, told }] of Object.entries(outcomes)) {
  const codes = Object.entries(told).map(([code, count]) => `${code} ${count}`)
  console.log(
    `${call.padEnd(14)} failed ${met} times: survived ${survived}${codes.length > 0 ? `, told as ${codes.join(', ')}` : ''}`
  )
}
console.log(`torture: ${cases} cases, ${met} calls failed, ${survived} unnoticed, ${failed} FAILED`)
rmSync(folder, { recursive: true })
process.exit(failed > 0 ? 1 : 0)
