// Each system call and each allocation of the addon fails once, in turn, in a scenario with a server and clients.
//
//   node lab/reliability/torture.mjs [--only sendto] [--most 12] [--backends epoll] [--strategies blocking] [--verbose]
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
    backends: { type: 'string', default: 'epoll,io_uring' },
    strategies: { type: 'string', default: 'blocking,spin' },
    verbose: { type: 'boolean', default: false }
  }
})
const most = Number(values.most) || Number.POSITIVE_INFINITY

/** The errors of these calls in their manual pages, as far as a program can meet them. */
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
  mmap: ['ENOMEM'],
  poll: ['EINTR'],
  getrlimit: ['EPERM'],
  io_uring_setup: ['EMFILE', 'ENOMEM', 'EPERM'],
  io_uring_enter: ['EINTR', 'EAGAIN', 'EBUSY'],
  io_uring_register: ['ENOMEM', 'EINVAL', 'EBUSY'],
  operator_new: ['ENOMEM'],
  // Pools: WebAssembly.Memory refuses.
  pool: ['ENOMEM']
}

const library = join(root, 'build', 'reliability', 'fail_calls.so')
mkdirSync(join(root, 'build', 'reliability'), { recursive: true })
const source = join(root, 'lab', 'reliability', 'native', 'fail_calls.cc')
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

async function run(backend, strategy, failure) {
  const report = join(folder, `${++runs}.json`)
  const env = { LD_PRELOAD: library, FAIL_REPORT: report, ...failure }
  const result = await startChild('torture_child.mjs', [backend, strategy], { timeoutMs: 40_000, env }).ended
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
const list = (text) => text.split(',')
const kinds = list(values.backends).flatMap((backend) =>
  list(values.strategies).map((strategy) => [backend, strategy])
)
for (const [backend, strategy] of kinds) {
  const whole = await run(backend, strategy, {})
  if (whole.trouble !== undefined) throw new Error(`without any failure: ${whole.trouble}`)
  const { descriptors } = whole.result.report
  const plan = []
  const began = performance.now()
  const made = {}
  for (const [call, codes] of Object.entries(errors)) {
    const count = call === 'pool' ? whole.result.report.pools : whole.counts[call]
    if (!call.includes(values.only) || !(count > 0)) continue
    made[call] = count
    for (const nth of chosen(count)) for (const code of codes) plan.push({ call, nth, code })
  }
  const calls = Object.entries(made).map(([call, count]) => `${call} ${count}`)
  console.log(`${backend}, ${strategy}: ${plan.length} cases; calls of one run: ${calls.join(', ')}`)
  await inParallel(plan, 2, async ({ call, nth, code }) => {
    const failure = { FAIL_CALL: call, FAIL_NTH: nth, FAIL_ERRNO: constants.errno[code] }
    const { result, counts, trouble } = await run(backend, strategy, failure)
    cases++
    let verdict = trouble
    const left = (result.report?.descriptors ?? 0) - descriptors
    if (verdict === undefined && left > 0) verdict = `${left} descriptors left`
    if (verdict !== undefined) {
      failed++
      console.log(`FAILED ${backend} ${strategy} ${call} ${nth} ${code}: ${verdict.slice(0, 700)}`)
      return
    }
    if (!counts.failed && !result.report.refused) return
    met++
    const reported = result.report.events.filter(
      (text) => !/: ZERIO_(NORMAL|APPLICATION|GOING_AWAY)$|raw left/.test(text)
    )
    if (reported.length === 0) survived++
    outcomes[call] ??= { met: 0, survived: 0, reported: {} }
    outcomes[call].met++
    if (reported.length === 0) outcomes[call].survived++
    for (const text of new Set(reported.map((one) => one.split(': ')[1])))
      outcomes[call].reported[text] = (outcomes[call].reported[text] ?? 0) + 1
    if (values.verbose)
      console.log(`${backend} ${strategy} ${call} ${nth} ${code}: ${reported.join(', ') || 'survived'}`)
  })
  console.log(`${backend}, ${strategy}: ${Math.round((performance.now() - began) / 1000)} s`)
}
for (const [call, { met, survived, reported }] of Object.entries(outcomes)) {
  const codes = Object.entries(reported).map(([code, count]) => `${code} ${count}`)
  console.log(
    `${call.padEnd(14)} failed ${met} times: survived ${survived}${codes.length > 0 ? `, reported as ${codes.join(', ')}` : ''}`
  )
}
console.log(`torture: ${cases} cases, ${met} calls failed, ${survived} unnoticed, ${failed} FAILED`)
rmSync(folder, { recursive: true })
process.exit(failed > 0 ? 1 : 0)
