// A Node process that does nothing, to compare the memory of others with. Ends when stdin does.
import { report } from '../lib/program.mjs'

process.stdin.resume().on('end', () => process.exit())
report({})
