// A process that sends messages and ends.
//
//   ending.mjs <settings as JSON>     { ports, options, name }

import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { endings } from './endings.mjs'
import { openLanes } from './lanes.mjs'

const settings = JSON.parse(isMainThread ? process.argv[2] : workerData)
const { name } = settings
if (isMainThread && endings[name].inWorker) {
  const worker = new Worker(new URL(import.meta.url), { workerData: process.argv[2] })
  worker.on('exit', (code) => {
    process.exitCode = code
  })
} else {
  const lanes = await openLanes(settings)
  lanes.open(name, endings[name].count)
  // The control must not wait for what was written so far.
  await new Promise((resolve) => setTimeout(resolve, 5))
  try {
    endings[name].start(lanes)
  } catch (error) {
    lanes.fault(error.message)
    setTimeout(() => process.exit(9), 5)
  }
}
