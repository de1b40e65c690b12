// `npm run perf`: measures section by section, keeps the results as JSON, and writes the page.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { availableBackends } from './lib/backends.mjs'
import { extern, installExtern } from './lib/extern.mjs'
import { describeMachine } from './lib/machine.mjs'
import { compileNativePrograms } from './lib/native_programs.mjs'
import { NoiseWatch, noiseSentence } from './lib/noise.mjs'
import { targetNames } from './lib/targets.mjs'
import { writeReadme } from './report/readme.mjs'
import { writeReport } from './report/report.mjs'
import { sections } from './sections/index.mjs'

const REPETITIONS = 7
const QUICK_REPETITIONS = 1
const REPETITIONS_MAX = 1000
const EXIT_FAILED = 1
const EXIT_USAGE = 2
const ROOT = join(import.meta.dirname, '..')
const sectionNames = sections.map(({ name }) => name)

const HELP = `Usage: npm run perf -- [flags]

Compares zerio with C, node:net and others on this machine, prints ratios, and writes docs/performance.md, its data files and
the README's figures. Run it with nothing else running. The whole takes about 70 minutes.

  --quick               the whole in four minutes: a first look, not a result; writes perf/results/quick/performance.md
  --only <name,...>     only these sections: ${sectionNames.join(', ')}
                        or targets: ${targetNames.join(', ')}
  --resume              take the sections that a run before has finished from its results
  --report              measure nothing, only write the page from the results that are there
  --output <file>       write the page there
  --repetitions <n>     how often each program of the targets runs (default ${REPETITIONS}, with --quick ${QUICK_REPETITIONS})
  --json <file>         write all numbers to this file too
  --check               exit with 1 when a target is missed, not only when something fails to run
  --help                show this text

Exits with 1 when something failed to run. A noisy machine leaves rows undecided, and fails nothing.
`

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  resume: { type: 'boolean', default: false },
  report: { type: 'boolean', default: false },
  output: { type: 'string' },
  repetitions: { type: 'string' },
  json: { type: 'string' },
  check: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false }
}

const flags = readCommandLine()
if (flags.help) {
  process.stdout.write(HELP)
} else {
  process.exitCode = await main()
}

function readCommandLine() {
  try {
    const { values } = parseArgs({ options: OPTIONS })
    const repetitions = Number(values.repetitions ?? (values.quick ? QUICK_REPETITIONS : REPETITIONS))
    if (!Number.isInteger(repetitions) || repetitions < 1 || repetitions > REPETITIONS_MAX) {
      throw new Error(`--repetitions takes a whole number from 1 to ${REPETITIONS_MAX}`)
    }
    const names = values.only?.split(',') ?? sectionNames
    const known = [...sectionNames, ...targetNames]
    const unknown = names.find((name) => !known.includes(name))
    if (unknown !== undefined) throw new Error(`--only does not know '${unknown}', only ${known.join(', ')}`)
    const onlyTargets = names.filter((name) => targetNames.includes(name) && !sectionNames.includes(name))
    const chosen = names.filter((name) => sectionNames.includes(name))
    if (onlyTargets.length > 0) chosen.push('targets')
    return { ...values, repetitions, chosen, onlyTargets }
  } catch (error) {
    progress(`perf: ${error.message.split('\n')[0]}`)
    process.exit(EXIT_USAGE)
  }
}

async function main() {
  const folder = join(ROOT, 'perf/results', flags.quick ? 'quick' : 'full')
  mkdirSync(folder, { recursive: true })
  const isPart = flags.onlyTargets.length > 0
  let results
  if (flags.report) {
    results = new Map()
  } else {
    try {
      compileNativePrograms()
    } catch (error) {
      progress(`perf: the C programs do not compile: ${error.stderr?.toString().trim() || error.message}`)
      return EXIT_FAILED
    }
    if (loadavg()[0] > availableParallelism() / 2) {
      progress(`warning: other work is running here (load average ${loadavg()[0].toFixed(1)})`)
    }
    // Before the machine is described, so that their versions are known.
    if (!isPart) installExtern(progress)
    results = await measureAll(folder)
  }
  if (flags.json !== undefined) writeJson(flags.json, Object.fromEntries(results))
  // Some targets alone are for the console; the page wants them all.
  if (!isPart) await writePage(folder)
  return conclude(results)
}

async function measureAll(folder) {
  const backends = await availableBackends()
  const machine = { ...describeMachine(), backends }
  const results = new Map()
  const chosen = sections.filter(({ name }) => flags.chosen.includes(name))
  for (const section of chosen) {
    const file = join(folder, `${section.name}.json`)
    const finished = flags.resume ? readResult(file) : null
    if (finished !== null && JSON.stringify(finished.machine) === JSON.stringify(machine)) {
      progress(`${section.name}: taken from ${finished.measuredAt}`)
      results.set(section.name, finished)
      continue
    }
    const isPart = section.name === 'targets' && flags.onlyTargets.length > 0
    if (!isPart) rmSync(file, { force: true })
    const watch = new NoiseWatch()
    const began = performance.now()
    const label = `[${chosen.indexOf(section) + 1}/${chosen.length}] ${section.name}`
    const data = await section.run({
      quick: flags.quick,
      repetitions: flags.repetitions,
      only: isPart ? flags.onlyTargets : undefined,
      backends,
      folder,
      progress: (line) => progress(`${label} ${line}`),
      print: console.log
    })
    progress(`${label} took ${((performance.now() - began) / 1000).toFixed(0)} s`)
    const result = {
      machine,
      quick: flags.quick,
      measuredAt: new Date().toISOString(),
      noise: watch.result,
      data
    }
    results.set(section.name, result)
    if (!isPart) writeJson(file, result)
  }
  return results
}

// All sections that have results, also those of another run: the page says from when on they were measured.
async function writePage(folder) {
  const results = new Map()
  for (const { name } of sections) {
    const result = readResult(join(folder, `${name}.json`))
    if (result !== null) results.set(name, result)
  }
  if (results.size === 0) {
    progress('perf: there are no results to report')
    return
  }
  const page =
    flags.output ?? (flags.quick ? join(folder, 'performance.md') : join(ROOT, 'docs/performance.md'))
  const reason = installExtern(progress)
  if (reason !== null) progress(`perf: no charts: ${reason}`)
  const draw = reason === null ? (await import(extern('charts.mjs'))).drawChart : null
  await writeReport(page, results, draw)
  progress(`wrote ${page}`)
  // The README speaks of a whole run that is published, and of no other.
  const isPublished = page === join(ROOT, 'docs/performance.md')
  if (isPublished && results.has('against') && results.has('garbage'))
    writeReadme(join(ROOT, 'README.md'), join(dirname(page), 'performance'))
}

function conclude(results) {
  let exitCode = 0
  const missed = results.get('targets')?.data.targets.some(({ decision }) => decision === 'missed')
  if (flags.check && missed) exitCode = EXIT_FAILED
  for (const [name, { noise }] of results) {
    const sentence = noiseSentence(noise)
    if (sentence === null) continue
    console.log(`This machine was noisy during ${name}: ${sentence}. More rows than else are not decided.`)
  }
  for (const [section, { data }] of results) {
    for (const [name, message] of Object.entries(data.failures)) {
      console.log(`${section}: ${name} failed: ${message}`)
      exitCode = EXIT_FAILED
    }
  }
  return exitCode
}

function readResult(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
}

function writeJson(file, content) {
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
}

function progress(line) {
  process.stderr.write(`${line}\n`)
}
