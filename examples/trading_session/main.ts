// The entry point of `npm start`: reads the flags, runs the demo, sets the exit code.

import { FlagError, helpText, parseFlags } from './flags.js'
import { run } from './run.js'

async function main(): Promise<number> {
  const flags = parseFlags(process.argv.slice(2))
  if (flags === 'help') {
    process.stdout.write(helpText())
    return 0
  }
  return run(flags)
}

main().then(
  (exitCode) => {
    process.exitCode = exitCode
  },
  (error: Error) => {
    process.stderr.write(`zerio demo: ${error.message}\n`)
    process.exitCode = error instanceof FlagError ? 2 : 1
  }
)
