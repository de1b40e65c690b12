// Coverage-guided fuzzing with libFuzzer. npm run fuzz -- [--seconds N] [--target NAME]
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compile } from './compile.mjs'
import { fuzzTargets } from './fuzz_targets.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, target: { type: 'string' } }
})
const compiler = process.env.CLANGXX ?? 'clang++'
if (spawnSync(compiler, ['--version']).status !== 0) {
  console.error(
    `Fuzzing needs ${compiler} with libFuzzer, which is not here; on Debian: apt-get install clang libclang-rt-14-dev`
  )
  process.exit(2)
}
if (values.target !== undefined && fuzzTargets[values.target] === undefined) {
  console.error(`There is no target '${values.target}'; there are ${Object.keys(fuzzTargets).join(', ')}.`)
  process.exit(2)
}

const names = values.target === undefined ? Object.keys(fuzzTargets) : [values.target]
const seconds = Math.max(1, Math.floor(Number(values.seconds) / names.length))
for (const name of names) {
  const folder = join(root, 'build', 'fuzz', name)
  const program = await compile(root, {
    name,
    folder,
    sources: fuzzTargets[name],
    compiler,
    flags: ['-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all', '-gdwarf-4']
  })
  // What is found goes to a folder of its own; the committed corpus is read only.
  const found = join(folder, 'corpus')
  mkdirSync(found, { recursive: true })
  const committed = join(root, 'lab', 'fuzz', 'corpus', name)
  const crash = join(folder, 'crash-')
  const { status, stderr } = spawnSync(
    program,
    [
      `-max_total_time=${seconds}`,
      '-max_len=4096',
      '-timeout=10',
      '-print_final_stats=1',
      '-verbosity=1',
      `-artifact_prefix=${crash}`,
      found,
      committed
    ],
    { encoding: 'utf8', maxBuffer: 1 << 28 }
  )
  if (status !== 0) {
    process.stderr.write(stderr.slice(-8000))
    console.error(`${name}: a promise is broken; the input is beside ${program}, run it with that program.`)
    process.exit(1)
  }
  const inputs = /number_of_executed_units:\s*(\d+)/.exec(stderr)?.[1] ?? '?'
  const coverage = [...stderr.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? '?'
  console.log(
    `${name}: ${inputs} inputs in ${seconds} s, ${coverage} edges, ${readdirSync(committed).length} inputs in the corpus`
  )
}
