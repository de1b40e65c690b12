// What `zerio gc` makes of its reports: pages, profiles, comparisons, budgets.
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { runCommand } from '../helpers/command.mjs'

const require = createRequire(import.meta.url)
const folder = await mkdtemp(join(tmpdir(), 'zerio-results-'))
test.after.always(() => rm(folder, { recursive: true }))

const at = (name) => join(folder, name)
function program(name, source) {
  writeFileSync(at(name), source)
  return at(name)
}

/** Allocates as many arrays of 848 bytes as its first argument says, in a thread or in two. */
const allocator = program(
  'allocator.cjs',
  `
    const { Worker, isMainThread } = require('node:worker_threads')
    let kept
    function allocate(count) { for (let i = 0; i < count; i++) kept = new Array(100).fill(i) }
    function work() { allocate(Number(process.argv[2])) }
    work()
    if (isMainThread && process.argv[3] === 'worker') new Worker(__filename, { argv: [process.argv[2]] })
  `
)

test.serial('--html writes a page that needs nothing else', async (t) => {
  const page = at('report.html')
  const hostile = program(
    'hostile.cjs',
    `
      const evil = { '</script><script>alert(1)</script>"\\'': () => { let kept; for (let i = 0; i < 50000; i++) kept = new Array(100).fill(i); return kept } }
      Object.values(evil)[0]()
      setTimeout(() => {}, 300)
    `
  )
  const { code, stderr } = await runCommand(['gc', '--html', page, hostile])
  t.is(code, 0)
  t.regex(stderr, /^zerio gc\ntime /m)
  const html = readFileSync(page, 'utf8')
  t.regex(html, /^<!doctype html><html lang="en">/)
  t.regex(html, /<title>zerio gc: node hostile\.cjs<\/title>/)
  t.is(html.match(/<svg /g).length, 1)
  t.regex(html, /<polygon class="heap" points="\d/)
  t.true(html.match(/<rect /g).length >= 2)
  t.regex(html, /<div id="flame" style="height:\d+px"><button /)
  t.regex(html, /<h2>Functions that allocate most<\/h2><table>/)
  t.regex(html, /<h2>Threads<\/h2><table>.*\d+ node hostile\.cjs/)
  // Its own script alone, and the name of the function as text.
  t.is(html.match(/<script/g).length, 1)
  t.true(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;'))
  t.false(/(src|href)=|@import|url\(/.test(html))
})

test.serial('--profile writes the stacks of all threads', async (t) => {
  const heapProfile = at('stacks.heapprofile')
  const { code } = await runCommand(['gc', '--profile', heapProfile, allocator, '50000', 'worker'])
  t.is(code, 0)
  const { head } = JSON.parse(readFileSync(heapProfile, 'utf8'))
  const names = head.children.map(({ callFrame }) => callFrame.functionName)
  t.is(names.length, 2)
  t.regex(names[0], /^\d+ node allocator\.cjs$/)
  t.regex(names[1], /^\d+ worker 1 allocator\.cjs$/)
  const bytesIn = (node) => node.children.reduce((sum, child) => sum + bytesIn(child), node.selfSize)
  for (const thread of head.children) {
    const bytes = bytesIn(thread)
    t.true(Math.abs(bytes / (50_000 * 848) - 1) < 0.3, String(bytes))
  }
  const pprof = at('stacks.pb.gz')
  t.is((await runCommand(['gc', '--profile', pprof, allocator, '20000'])).code, 0)
  const text = gunzipSync(readFileSync(pprof)).toString('latin1')
  for (const one of ['alloc_space', 'bytes', 'allocator.cjs']) t.true(text.includes(one), one)
})

test.serial('--save and --compare say whether a program allocates more', async (t) => {
  const saved = at('saved.json')
  const command = (flag, count) => ['gc', '--runs', '5', flag, saved, '--top', '5', allocator, String(count)]
  const first = await runCommand(command('--save', 20_000))
  t.is(first.code, 0)
  t.is(first.stderr.match(/^zerio gc run \d of 5$/gm).length, 5)
  t.is(JSON.parse(readFileSync(saved, 'utf8')).reports.length, 5)

  const more = await runCommand(command('--compare', 30_000))
  t.is(more.code, 1)
  t.regex(more.stderr, /^ {2}heap +\S+ MB +-> +\S+ MB +\+\d\d\.\d % +more \(p = 0\.008\)$/m)
  t.regex(more.stderr, /^zerio gc: medians of 5 runs with Node\.js v[\d.]+, and of 5 runs now$/m)

  const less = await runCommand(command('--compare', 10_000))
  t.is(less.code, 0)
  t.regex(less.stderr, /^ {2}heap .* less \(p = 0\.008\)$/m)

  const once = await runCommand(['gc', '--compare', saved, allocator, '30000'])
  t.is(once.code, 1)
  t.regex(once.stderr, /^ {2}heap .* too few runs to tell: --runs 5 on both sides$/m)
})

test('a comparison names the functions whose bytes have changed, and sees no difference where there is none', (t) => {
  const { compareRuns } = require('../../dist/cli/gc_comparison.js')
  const reportOf = (megabytes, run) => ({
    elapsedMs: 100 + run,
    heapBytes: megabytes * 1e6 + run,
    externalBytes: 0,
    generations: { promotedBytes: 0 },
    collections: { minor: 7, major: 0 },
    pauses: { totalMs: 5, maxUs: 900 },
    eventLoop: { p99Ms: 1 },
    // Its line has moved.
    topAllocators: [
      { functionName: 'parse', url: 'file:///app/parse.js', line: megabytes, bytes: megabytes * 1e6 + run },
      { functionName: 'render', url: '/app/render.js', line: 1, bytes: 2e6 }
    ]
  })
  const runsOf = (megabytes) => [1, 2, 3, 4, 5].map((run) => reportOf(megabytes, run))
  const saved = { zerioGc: 1, node: 'v20.0.0', reports: runsOf(20) }
  const same = compareRuns(saved, runsOf(20))
  t.false(same.isWorse)
  t.notRegex(same.text, /more|less/)
  const more = compareRuns(saved, runsOf(30))
  t.true(more.isWorse)
  t.regex(more.text, /^ {2}heap .* \+50\.0 % +more \(p = 0\.008\)$/m)
  t.regex(
    more.text,
    /^functions that allocate more or less\n {2}parse parse\.js +20\.0 MB +-> +30\.0 MB +\+50\.0 % .*$/m
  )
  t.notRegex(more.text, /render/)
})

test.serial('--budget fails a program that costs more', async (t) => {
  const budget = at('budget.json')
  writeFileSync(
    budget,
    JSON.stringify({ heapBytes: 40e6, collections: { major: 5 }, pauses: { maxUs: 2e6 } })
  )
  const within = await runCommand(['gc', '--budget', budget, allocator, '10000'])
  t.is(within.code, 0, within.stderr)
  const above = await runCommand(['gc', '--budget', budget, allocator, '60000'])
  t.is(above.code, 1)
  t.regex(above.stderr, /^zerio gc: over budget: heapBytes is 5\d\.\d MB, and may be 40\.0 MB$/m)
  t.is(above.stderr.match(/over budget/g).length, 1)
  // What the program itself says counts more.
  const failing = program('failing.cjs', 'process.exitCode = 7; const kept = new Array(6e6).fill(0)')
  t.is((await runCommand(['gc', '--budget', budget, failing])).code, 7)
})

test('an incomplete report is within no budget', (t) => {
  const { overBudget } = require('../../dist/cli/gc_budget.js')
  const budget = new Map([['pauses.maxUs', 5]])
  t.deepEqual(overBudget(budget, { pauses: { maxUs: 5 }, complete: true }), [])
  t.deepEqual(overBudget(budget, { pauses: { maxUs: 5 }, complete: false }), [
    'over budget: the report is incomplete, so that it proves nothing'
  ])
})

test('a time line keeps its sums when it becomes coarser', (t) => {
  const { Timeline } = require('../../dist/cli/gc_timeline.js')
  const timeline = new Timeline()
  for (let i = 1; i <= 5000; i++) {
    timeline.pause(i === 1234 ? 50 : 1)
    const report = {
      elapsedMs: i * 10,
      heapBytes: i * 1000,
      externalBytes: i * 10,
      collections: { minor: i, major: i >> 1 },
      pauses: { totalMs: i * 2 }
    }
    timeline.add(report, { heapSizeBytes: i, externalSizeBytes: 2 * i })
  }
  const { points } = timeline
  t.true(points.length > 200 && points.length <= 600, String(points.length))
  const sum = (name) => points.reduce((all, point) => all + point[name], 0)
  t.is(sum('allocatedBytes'), 5000 * 1010)
  t.is(sum('minor'), 5000)
  t.is(sum('major'), 2500)
  t.is(sum('pausedMs'), 10_000)
  t.deepEqual(points.filter(({ longestPauseMs }) => longestPauseMs === 50).length, 1)
  t.is(points.at(-1).atMs, 50_000)
  t.is(points.at(-1).heapSizeBytes, 5000)
  // The points have about the same distance.
  const distances = points.slice(1).map(({ atMs }, i) => atMs - points[i].atMs)
  t.true(Math.max(...distances) <= 4 * Math.min(...distances.slice(0, -1)), `${Math.max(...distances)}`)
})

test.serial('flags that cannot be meant are mistakes before the program runs', async (t) => {
  const notSaved = program('not_saved.json', '{"reports":[]}')
  const odd = program('odd.json', '{"pauses":{"max":1}}')
  const negative = program('negative.json', '{"heapBytes":-1}')
  for (const [flags, message] of [
    [['--profile', at('a.txt')], /--profile needs a name that ends with \.heapprofile or \.pb\.gz/],
    [['--profile', at('a.pb.gz'), '--top', '0'], /--profile needs samples/],
    [['--html', at('nowhere/a.html')], /--html cannot write '.*': its folder does not exist/],
    [['--save', at('nowhere/a.json')], /--save cannot write/],
    [['--compare', at('nowhere.json')], /--compare cannot read '.*nowhere\.json'/],
    [['--compare', notSaved], /--compare needs a file that --save has written/],
    [
      ['--budget', odd],
      /the budget has 'pauses\.max', which cannot be limited; there are elapsedMs, heapBytes/
    ],
    [['--budget', negative], /the budget's 'heapBytes' must be a number from 0, not -1/],
    [['--runs', '31'], /--runs must be a whole number from 1 to 30/]
  ]) {
    const { code, stdout, stderr } = await runCommand(['gc', ...flags, '-e', 'console.log("ran")'])
    t.is(code, 2, stderr)
    t.is(stdout, '')
    t.regex(stderr, message)
  }
})
