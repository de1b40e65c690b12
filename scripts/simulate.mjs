// Builds the simulation and runs it. npm run simulate -- --minutes N | --seeds N | --seed S [--trace] | --torture
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compile, simulationOf } from './compile.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

const program = await compile(root, simulationOf(root))
const given = process.argv.slice(2)
const { status } = spawnSync(program, given.length > 0 ? given : ['--minutes', '1'], { stdio: 'inherit' })
process.exit(status ?? 1)
