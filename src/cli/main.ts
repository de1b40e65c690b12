#!/usr/bin/env node
// The command line: picks the command, and turns what goes wrong into one line and an exit code.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { printableText } from '../errors.js'
import { UsageError } from './flags.js'

const help = `Usage: zerio <command> [flags]

Commands:
  gc <program> [arguments]  runs a Node.js program and reports what it costs the garbage collector
  bench                     measures round trips and throughput between two processes or two machines

Flags:
  --help, -h                this text; zerio <command> --help explains a command
  --version                 the version of zerio
`

/** Loaded when they are asked for: `gc` needs no engine and must run where none can be loaded. */
const commands: Readonly<Record<string, (args: string[]) => Promise<number>>> = {
  gc: async (args) => (require('./gc.js') as typeof import('./gc.js')).gc(args),
  bench: async (args) => (require('./bench.js') as typeof import('./bench.js')).bench(args)
}

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help)
    return 0
  }
  if (name === '--version') {
    const { version } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8'))
    process.stdout.write(`${version}\n`)
    return 0
  }
  const hint = `there are ${Object.keys(commands).join(' and ')}; zerio --help explains them`
  if (name === undefined) throw new UsageError(`no command; ${hint}`)
  if (!Object.hasOwn(commands, name)) throw new UsageError(`no command '${name}'; ${hint}`)
  return commands[name](rest)
}

// A reader that has left (`zerio bench | head`) is no error of this program.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
// Lost lines on stderr are no reason to leave a program under `zerio gc` alone.
process.stderr.on('error', () => {})

const args = process.argv.slice(2)
main(args).then(
  (exitCode) => {
    process.exitCode = exitCode
  },
  (error: Error) => {
    const command = Object.hasOwn(commands, args[0] ?? '') ? ` ${args[0]}` : ''
    process.stderr.write(`zerio${command}: ${printableText(error.message.split('\n')[0])}\n`)
    process.exitCode = error instanceof UsageError ? 2 : 1
  }
)
