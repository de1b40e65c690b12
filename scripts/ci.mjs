// Continuous integration: .ci/run [--list | NAME …]. Runs the stages of ci_stages.mjs one after the other.
//
// A stage counts as one test, unless its output has TAP: then its tests are counted. A stage that fails runs once more, and only its
// second failure counts. What was skipped, what was missing, and every stage that needed a second run is listed at the end; the last
// line is the count.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { stages, tools, toolsOfAll } from './ci_stages.mjs'

/** All stages together have this time; what a slow machine does not get to is named and counted as skipped. */
const SECONDS_MAX = 4800
const STAGE_SECONDS_MIN = 60
const KILL_AFTER_MS = 30_000
const PIPE_CLOSES_MS = 5_000
const TAIL_LINES = 40
const NAMES_MAX = 10

process.env.CI = 'true'
process.env.DEBIAN_FRONTEND = 'noninteractive'
const seconds = () => Math.floor(process.uptime())

/** Counts the tests in lines of TAP, also of one that was cut off before its end, and keeps what failed and the last lines. */
class Tally {
  passed = 0
  failed = 0
  names = []
  tail = []
  #passed = 0
  #failed = 0

  add(line) {
    this.tail.push(line)
    if (this.tail.length > TAIL_LINES) this.tail.shift()
    const test = /^(not )?ok \d+/.exec(line)
    if (test !== null && !/# (?:SKIP|TODO)/i.test(line)) {
      if (test[1] === undefined) this.#passed++
      else this.#failed++
    }
    if (/^\s*not ok |^(?:FAILED|NOT FOUND) /.test(line)) this.names.push(line.trim())
    const sum = /^# (pass|fail) (\d+)$/.exec(line)
    if (sum?.[1] === 'pass') {
      this.passed += Number(sum[2])
      this.#passed = 0
    } else if (sum !== null) {
      this.failed += Number(sum[2])
      this.#failed = 0
    }
  }

  end() {
    this.passed += this.#passed
    this.failed += this.#failed
    return this
  }

  /** What failed, in one line. */
  get reason() {
    if (this.names.length > 0) {
      const more = this.names.length - NAMES_MAX
      return this.names.slice(0, NAMES_MAX).join('; ') + (more > 0 ? `; ${more} more` : '')
    }
    return this.tail.findLast((line) => line.trim() !== '') ?? 'it said nothing'
  }
}

let running
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    if (running !== undefined) process.kill(-running.pid, 'SIGKILL')
    process.exit(1)
  })
}

/** Runs a command in a process group of its own, which ends with it. Resolves with { status, tally }; 124 is a limit that was reached. */
async function run(command, limit) {
  const tally = new Tally()
  // Its errors, too, in the order in which they come.
  const child = spawn('bash', ['-c', `{ ${command}; } 2>&1`], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  running = child
  const kill = (signal) => {
    try {
      process.kill(-child.pid, signal)
    } catch {
      // All of the group has ended.
    }
  }
  let late = false
  const timers = [
    setTimeout(() => {
      late = true
      kill('SIGTERM')
      timers.push(setTimeout(() => kill('SIGKILL'), KILL_AFTER_MS))
    }, limit * 1000)
  ]
  const status = new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)))
  createInterface({ input: child.stdout }).on('line', (line) => {
    process.stdout.write(`${line}\n`)
    tally.add(line)
  })
  const closed = new Promise((resolve) => child.once('close', resolve))
  const code = await status
  kill('SIGKILL')
  // A process that left the group may hold the pipe for ever.
  await Promise.race([closed, pause(PIPE_CLOSES_MS, undefined, { ref: false })])
  child.stdout.destroy()
  running = undefined
  for (const timer of timers) clearTimeout(timer)
  return { status: late ? 124 : code, tally: tally.end() }
}

const sum = { passed: 0, failed: 0, skipped: 0 }
const notes = { failures: [], skipped: [], again: [], times: [] }

function skip(name, reason) {
  sum.skipped++
  notes.skipped.push(`${name}: ${reason}`)
  console.log(`=== ${name}: skipped: ${reason}`)
}

/** Runs a stage once. Resolves with whether it is over: it is not when it failed and there is time for another run. */
async function attempt({ name, seconds: limit, command }, isFirst) {
  const left = SECONDS_MAX - seconds()
  console.log(`=== ${name}${isFirst ? '' : ', once more'}: ${command}`)
  const { status, tally } = await run(command, Math.min(limit, left))
  console.log(`=== ${name}: ${Math.round(seconds() / 60)} minutes so far`)
  if (status === 0 && tally.failed === 0) {
    sum.passed += tally.passed > 0 ? tally.passed : 1
    if (!isFirst) notes.again.at(-1).push('the second run passed')
    return true
  }
  if (status === 124 && left < limit && tally.failed === 0) {
    sum.passed += tally.passed
    skip(name, 'cut short, because the time is over')
    if (!isFirst) notes.again.at(-1).push('the second run was cut short')
    return true
  }
  const what = status === 124 ? `it took longer than ${limit} s` : `it ended with ${status}`
  const reason = `${what}: ${tally.reason}`
  if (isFirst) notes.again.push([`${name}: ${reason}`])
  else notes.again.at(-1).push(`the second run failed, too: ${reason}`)
  if (isFirst && SECONDS_MAX - seconds() >= STAGE_SECONDS_MIN) return false
  if (isFirst) notes.again.at(-1).push('there was no time for a second run')
  sum.passed += tally.passed
  sum.failed += Math.max(tally.failed, 1)
  notes.failures.push([`${name}: ${reason}`, ...tally.tail.map((line) => `    ${line}`)].join('\n'))
  return true
}

async function runStage(stage) {
  const missing = (stage.tools ?? []).filter((name) => !tools[name].isThere())
  if (missing.length > 0) return skip(stage.name, `${missing.join(', ')} could not be installed`)
  if (SECONDS_MAX - seconds() < STAGE_SECONDS_MIN) return skip(stage.name, 'the time is over')
  const begin = performance.now()
  if (!(await attempt(stage, true))) await attempt(stage, false)
  notes.times.push(`${String(Math.round((performance.now() - begin) / 1000)).padStart(5)} s  ${stage.name}`)
}

/** Which of the stages that take turns this commit has; without git those of this day. */
function turnOfThisRun() {
  const { status, stdout } = spawnSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' })
  return status === 0 ? Number.parseInt(stdout.slice(0, 8), 16) : Math.floor(Date.now() / 86_400_000)
}

function chooseStages(asked) {
  const unknown = asked.filter((name) => !stages.some((stage) => stage.name === name))
  if (unknown.length > 0 || process.argv.includes('--list')) {
    if (unknown.length > 0) console.error(`There is no stage ${unknown.join(', ')}. There are:`)
    console.log(stages.map(({ name }) => name).join('\n'))
    process.exit(unknown.length > 0 ? 2 : 0)
  }
  if (asked.length > 0) return stages.filter(({ name }) => asked.includes(name))
  const turn = turnOfThisRun()
  return stages.filter((stage) => {
    if (stage.takesTurns === undefined) return true
    const group = stages.filter(({ takesTurns }) => takesTurns === stage.takesTurns)
    return group[turn % group.length] === stage
  })
}

/** Installs what the stages need and is not there. Returns what is missing nevertheless. */
function installTools(chosen) {
  const needed = new Set([
    ...toolsOfAll,
    ...chosen.flatMap((stage) => [...(stage.tools ?? []), ...(stage.helpful ?? [])])
  ])
  const missing = () => [...needed].filter((name) => !tools[name].isThere())
  const apt = (...args) => spawnSync('apt-get', [...args, '-qq'], { stdio: ['ignore', 'ignore', 'inherit'] })
  // Twice, because a package may be named after the version of another one.
  for (let round = 0; round < 2 && missing().length > 0; round++) {
    apt('update')
    for (const name of missing()) apt('install', '-y', ...tools[name].packages())
  }
  return missing()
}

const asked = process.argv.slice(2).filter((name) => !name.startsWith('--'))
const chosen = chooseStages(asked)
const missing = installTools(chosen)
if (!existsSync('node_modules')) spawnSync('npm', ['install'], { stdio: ['ignore', 'inherit', 'inherit'] })
for (const stage of chosen) await runStage(stage)

const list = (title, lines) => {
  if (lines.length > 0) console.log(`=== ${title}\n${lines.join('\n')}`)
}
list('time', notes.times.sort().reverse())
list('failed', notes.failures)
list(
  'left to other commits, because they take turns',
  asked.length > 0 ? [] : stages.filter((stage) => !chosen.includes(stage)).map(({ name }) => name)
)
list('missing tools', missing)
list('skipped', notes.skipped)
list(
  'needed a second run',
  notes.again.map((parts) => parts.join('; '))
)
const { passed, failed, skipped } = sum
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed === 0 ? 0 : 1
