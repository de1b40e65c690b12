// Runs the simulation, the torture and the fuzz corpus under AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer, with
// all assertions of the C++ library.
//
//   npm run test:sanitizers [-- --seeds N]
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compile, simulationOf } from './compile.mjs'
import { fuzzTargets } from './fuzz_targets.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({ options: { seeds: { type: 'string', default: '300' } } })
const flags = [
  '-O1',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
  '-fno-omit-frame-pointer',
  '-D_GLIBCXX_ASSERTIONS',
  // Two of GCC's warnings are false alarms in code that is instrumented (GCC bug 56456 and its like).
  '-Wno-maybe-uninitialized',
  '-Wno-stringop-overflow'
]
const environment = {
  ...process.env,
  ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1'
}

function run(what, program, given) {
  const { status, stdout, stderr } = spawnSync(program, given, {
    env: environment,
    encoding: 'utf8',
    maxBuffer: 1 << 28
  })
  if (status !== 0) {
    process.stderr.write(`${stdout}${stderr.slice(-8000)}\n${what} failed under the sanitizers.\n`)
    process.exit(1)
  }
  console.log(`${what}: ${stdout.trim()}`)
}

const simulation = await compile(
  root,
  simulationOf(root, { folder: join(root, 'build', 'sanitizers', 'simulation'), flags })
)
run('simulation', simulation, ['--seeds', values.seeds])
run('torture', simulation, ['--torture'])
for (const [name, sources] of Object.entries(fuzzTargets)) {
  const folder = join(root, 'build', 'sanitizers', name)
  const program = await compile(root, { name, folder, sources: [...sources, 'lab/fuzz/replay.cc'], flags })
  const corpus = join(root, 'lab', 'fuzz', 'corpus', name)
  run(
    `corpus of ${name}`,
    program,
    readdirSync(corpus).map((file) => join(corpus, file))
  )
}
