// The listening process of a `zerio bench` on one machine, started by the command itself, over whose channel it says where it listens.
import type { WaitStrategy } from '../index.js'
import { BenchServer } from './bench_server.js'
import { keepMemory } from './bench_settings.js'

export type ChildMessage = { port: number } | { failure: string }

async function main(): Promise<void> {
  keepMemory()
  const server = new BenchServer({ host: '127.0.0.1', port: 0 }, process.argv[2] as WaitStrategy, {
    came() {},
    left() {}
  })
  const { port } = await server.start()
  process.send?.({ port } satisfies ChildMessage)
}

// Ctrl-C in a terminal reaches both processes; this one ends when the other one does, in whatever way.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit(0))
main().catch((error: Error) => {
  process.send?.({ failure: error.message } satisfies ChildMessage, () => process.exit(1))
})
