// What the figures were measured on and with.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { extern } from './extern.mjs'

const readVersion = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : null)

export function describeMachine() {
  const others = ['ws', 'zeromq', '@oven/bun-linux-x64']
    .map((name) => [
      name.replace('@oven/bun-linux-x64', 'Bun'),
      readVersion(extern(`node_modules/${name}/package.json`))
    ])
    .filter(([, version]) => version !== null)
  return {
    zerio: readVersion(join(import.meta.dirname, '../../package.json')),
    node: process.version,
    compiler: execFileSync(process.env.CC ?? 'cc', ['--version'], { encoding: 'utf8' }).split('\n', 1)[0],
    kernel: release(),
    cpu: cpus()[0]?.model,
    cpuCount: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    others: others.map(([name, version]) => `, ${name} ${version}`).join('')
  }
}
