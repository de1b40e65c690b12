// Prints what each handler of handlers.mjs allocates for a message that comes over a real connection. docs/gc.md explains it.
// Run it as: node docs/examples/gc_walkthrough/main.mjs [--messages N] [--json]
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { handlers } from './handlers.mjs'

const { values: flags } = parseArgs({
  options: { messages: { type: 'string', default: '200000' }, json: { type: 'boolean', default: false } }
})
// A process for each handler: what V8 learned from one must not be at the expense of the next.
const measure = fileURLToPath(new URL('measure.mjs', import.meta.url))
const results = handlers.map(({ name }) => {
  const output = execFileSync(process.execPath, [measure, name, flags.messages], { encoding: 'utf8' })
  return { name, report: JSON.parse(output) }
})

if (flags.json) {
  console.log(JSON.stringify(results))
} else {
  for (const { name, report } of results) {
    const { heapBytesPerOperation, collections, topAllocators } = report
    const bytes = `${heapBytesPerOperation.toFixed(1).padStart(7)} bytes a message`
    const who = heapBytesPerOperation < 1 ? '' : topAllocators[0].functionName
    console.log(`${name.padEnd(20)}${bytes}  ${String(collections.total).padStart(4)} collections  ${who}`)
  }
}
