// zerio/gc/bench with the libraries that it is for, the oldest and the newest major versions that it supports: the examples of
// docs/gc.md run, and find the garbage of both functions.
//
// node lab/gc/benches.mjs; each version is installed into a folder of its own.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const examples = join(root, 'docs', 'examples', 'gc_bench')

/** What is installed, the example and its name in a package, and how it is started. */
const runs = [
  ...['tinybench@2', 'tinybench@6'].map((library) => ({ library, example: 'tinybench.mjs' })),
  { library: 'mitata@1', example: 'mitata.mjs' },
  ...['vitest@2', 'vitest@4'].map((library) => ({
    library,
    example: 'vitest_example.mjs',
    file: 'parsers.bench.mjs',
    command: ['node_modules/vitest/vitest.mjs', 'bench', '--run']
  }))
]
/** The lines of garbage, in each of the three forms, without quotes and frames. */
const found = {
  parseText: /parseText\W+(?:heap )?(\d[\d.]*) B\W+(?:external )?0 B/,
  readBytes: /readBytes\W+(?:heap )?(\d[\d.]*) B\W+(?:external )?0 B/
}

let failed = 0
for (const { library, example, file = example, command = [file] } of runs) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-benches-'))
  const call = (name, args) => {
    const { status, stdout, stderr } = spawnSync(name, args, {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, FORCE_COLOR: '0', CI: '1' }
    })
    return { status, output: `${stdout}${stderr}` }
  }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }))
  const install = call('npm', ['install', '--no-audit', '--no-fund', library])
  symlinkSync(root, join(folder, 'node_modules', 'zerio'))
  cpSync(join(examples, 'parsers.mjs'), join(folder, 'parsers.mjs'))
  cpSync(join(examples, example), join(folder, file))
  const { status, output } = install.status === 0 ? call(process.execPath, command) : install
  const bytes = Object.fromEntries(
    Object.entries(found).map(([name, pattern]) => [name, Number(pattern.exec(output)?.[1] ?? Number.NaN)])
  )
  const isRight = status === 0 && bytes.parseText > 40 && bytes.parseText < 200 && bytes.readBytes < 1
  console.log(`${isRight ? 'ok' : 'FAILED'} ${library}: ${JSON.stringify(bytes)}`)
  if (!isRight) {
    failed++
    console.log(output)
  }
  rmSync(folder, { recursive: true, force: true })
}
process.exit(failed === 0 ? 0 : 1)
