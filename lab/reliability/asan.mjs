// The public suite with an addon that was built with AddressSanitizer and UndefinedBehaviorSanitizer.
//
//   node lab/reliability/asan.mjs [files of tests]

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { addonEnvironment, buildSanitized, sanitizerEnvironment } from './lib/addon.mjs'
import { root } from './lib/processes.mjs'

/** Test files that are left out, and why. */
const left = {
  'package.test.mjs': 'packs and installs the published addon',
  'demo.test.mjs': 'starts npm, which needs no sanitizer; its traffic is that of the other tests',
  'docs.test.mjs': 'runs the examples in processes of their own, with the published addon',
  'examples.test.mjs': 'runs programs of their own, with the published addon',
  'zero_garbage.test.mjs': 'counts allocations, which the sanitizer makes',
  'resources.test.mjs': 'counts memory, which the sanitizer holds back',
  'io_uring_faults.test.mjs': 'preloads a library of its own, which the sanitizer must be in front of',
  'machine_faults.test.mjs': 'limits address space, of which the sanitizer takes terabytes'
}
const given = process.argv.slice(2)
const files =
  given.length > 0
    ? given
    : readdirSync(join(root, 'test'), { recursive: true })
        .filter((name) => name.endsWith('.test.mjs') && !(basename(name) in left))
        .map((name) => `test/${name}`)
const addon = await buildSanitized()
for (const [name, reason] of Object.entries(left)) console.log(`left out: ${name}, which ${reason}`)
const ava = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs')
const result = spawnSync(process.execPath, [ava, '--timeout', '170s', '--concurrency', '2', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, ...sanitizerEnvironment(), ...addonEnvironment(addon) }
})
process.exit(result.status ?? 1)
