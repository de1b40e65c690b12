// Counts what a process holds. Preloaded into each process of a test runner, it writes the count of descriptors at the end, and each
// warning, as lines of the file in $ZERIO_RUNNERS_LOG.

const { appendFileSync, readdirSync } = require('node:fs')
const { isMainThread } = require('node:worker_threads')

const file = process.env.ZERIO_RUNNERS_LOG
if (isMainThread && file !== undefined) {
  process.on('warning', (warning) => {
    // A runner's own features may be experiments of Node.
    if (warning.name !== 'ExperimentalWarning' && warning.name !== 'DeprecationWarning')
      appendFileSync(file, `${JSON.stringify({ warning: `${warning.name}: ${warning.message}` })}\n`)
  })
  process.on('exit', () => {
    const descriptors = readdirSync('/proc/self/fd').length
    appendFileSync(file, `${JSON.stringify({ pid: process.pid, descriptors })}\n`)
  })
}
