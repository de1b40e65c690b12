// Runs the benchmarks behind `npm run perf`: what is compared runs in turn, so that all of it meets the same machine,
// and what counts are ratios of medians.
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release } from 'node:os'
import { parseArgs } from 'node:util'
import { judge, measurementOf, percent } from './lib/judge.mjs'
import { compileNativePrograms } from './lib/native_programs.mjs'
import { measuredPrograms } from './lib/programs.mjs'
import { measurementTable, verdictTable } from './lib/tables.mjs'
import { targetNames, targets } from './lib/targets.mjs'

const REPETITIONS = 5
const QUICK_REPETITIONS = 2
const REPETITIONS_MAX = 1000

const HELP = `Usage: npm run perf -- [flags]

Compares zerio with C and with node:net on this machine and prints ratios. Run it with nothing else running.

  --quick               fewer and shorter repetitions: a first look, not a result
  --repetitions <n>     how often each program runs (default ${REPETITIONS}, with --quick ${QUICK_REPETITIONS})
  --only <name,...>     only these targets: ${targetNames.join(', ')}
  --json <file>         write all numbers to this file too
  --check               exit with 1 when a target is missed, not only when something fails to run
  --help                show this text
`

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  repetitions: { type: 'string' },
  only: { type: 'string' },
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
    const only = values.only?.split(',') ?? targetNames
    const unknown = only.find((name) => !targetNames.includes(name))
    if (unknown !== undefined) {
      throw new Error(`--only does not know '${unknown}', only ${targetNames.join(', ')}`)
    }
    return { ...values, repetitions, only }
  } catch (error) {
    progress(`perf: ${error.message.split('\n')[0]}`)
    process.exit(2)
  }
}

async function main() {
  try {
    compileNativePrograms()
  } catch (error) {
    progress(`perf: the C programs do not compile: ${error.stderr?.toString().trim() || error.message}`)
    return 1
  }
  if (loadavg()[0] > availableParallelism() / 2) {
    progress(`warning: other work is running here (load average ${loadavg()[0].toFixed(1)})`)
  }

  const programs = measuredPrograms(flags.quick)
  const selected = targets.filter((target) => flags.only.includes(target.name))
  const { results, failures } = await runAll(programs, programsOf(selected, programs))
  const measurements = [...results].map(([name, runs]) => measurementOf(name, programs[name], runs))
  const verdicts = selected.map((target) => judge(target, programs, results))

  console.log(measurementTable(measurements))
  console.log(verdictTable(verdicts))
  for (const { program, spread, isNoisy } of measurements) {
    if (!isNoisy || !programs[program].tellsNoise) continue
    console.log(`This machine is too noisy: ${program} varies by ${percent(spread)} between repetitions.`)
  }
  for (const [name, message] of failures) console.log(`${name} failed: ${message}`)
  if (flags.json !== undefined) writeJson(flags.json, results, verdicts, failures)

  if (failures.size > 0) return 1
  return flags.check && verdicts.some(({ passes }) => passes === false) ? 1 : 0
}

// The programs that the targets need, in the order of `programs`.
function programsOf(selected, programs) {
  const needed = new Set(selected.flatMap(({ program, reference }) => [program, reference]))
  return Object.keys(programs).filter((name) => needed.has(name))
}

// A program that fails is not run again; everything else goes on.
async function runAll(programs, names) {
  const results = new Map()
  const failures = new Map()
  for (const group of new Set(names.map((name) => programs[name].group))) {
    const members = names.filter((name) => programs[name].group === group)
    for (let repetition = 1; repetition <= flags.repetitions; repetition++) {
      for (const name of members) {
        if (failures.has(name) || (programs[name].runsOnce && repetition > 1)) continue
        progress(`${group} ${repetition}/${flags.repetitions}: ${name}`)
        try {
          const result = await programs[name].run()
          results.set(name, [...(results.get(name) ?? []), result])
        } catch (error) {
          failures.set(name, error.message)
          results.delete(name)
          progress(`${name} failed, see below`)
        }
      }
    }
  }
  return { results, failures }
}

function writeJson(file, results, verdicts, failures) {
  const machine = {
    node: process.version,
    kernel: release(),
    cpu: cpus()[0]?.model,
    cpuCount: availableParallelism(),
    measuredAt: new Date().toISOString()
  }
  const content = {
    machine,
    quick: flags.quick,
    repetitions: flags.repetitions,
    programs: Object.fromEntries(results),
    targets: verdicts.map(({ target, value, passes, note }) => ({ ...target, value, passes, note })),
    failures: Object.fromEntries(failures)
  }
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
}

function progress(line) {
  process.stderr.write(`${line}\n`)
}
