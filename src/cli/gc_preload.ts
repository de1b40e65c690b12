// Loaded with --require into a program under `zerio gc`: measures its main thread, and reports every second and at its end.
//
// It neither listens for signals nor keeps the event loop alive, so that the program behaves as without it.
import { writeSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { GcProbe } from '../gc/probe.js'
import { type GcMessage, type GcTask, reportDescriptor, taskVariable } from './gc_channel.js'

const reportEveryMs = 1000
/** A whole program allocates so much that fewer samples tell enough, and each costs microseconds. */
const samplingBytes = 131_072

function measure(task: GcTask): void {
  const { topAllocators } = task
  const probe = new GcProbe({ samplingBytes: topAllocators > 0 ? samplingBytes : 0, topAllocators })
  let reader = true

  const send = (message: GcMessage) => {
    try {
      writeSync(reportDescriptor, `${JSON.stringify(message)}\n`)
    } catch {
      // The command is gone; the program is not to blame.
      reader = false
    }
  }
  const begin = () => {
    probe.start()
    send({ kind: 'started', report: probe.report() })
    const timer = setInterval(() => {
      if (!probe.isRunning || !reader) clearInterval(timer)
      else send({ kind: 'live', report: probe.report() })
    }, reportEveryMs).unref()
    if (task.measureMs > 0) setTimeout(end, task.measureMs, 'timeUp').unref()
  }
  const end = (kind: 'timeUp' | 'final') => {
    if (probe.isRunning && reader) send({ kind, report: probe.stop() })
  }

  if (task.warmupMs > 0) setTimeout(begin, task.warmupMs).unref()
  else begin()
  process.on('exit', () => end('final'))
}

const text = process.env[taskVariable]
if (text !== undefined && isMainThread) {
  delete process.env[taskVariable]
  const task = JSON.parse(text) as GcTask
  if (task.parentPid === process.ppid) measure(task)
}
