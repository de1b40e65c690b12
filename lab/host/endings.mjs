// The ends of a process: what send() has accepted is handed to the system, however the process ends.

/** Messages of 5,000 bytes that are 200 KB together. */
const LONG = { count: 40, padding: 5_000 }

const end = (start, more = {}) => ({ start, count: 1, code: 0, ...more })
const unref = ({ server, client, control }) => {
  for (const one of [server, client, control]) one.unref()
}

function sendLong({ send }) {
  for (let index = 0; index < LONG.count; index++) send(index, LONG.padding)
}

/** By name: `start(lanes)` is called when all is connected; `code` is what the process ends with. */
export const endings = {
  'process.exit()': end(({ send }) => {
    send()
    process.exit()
  }),
  'process.exit(7) in a timer': end(
    ({ send }) =>
      setTimeout(() => {
        send()
        process.exit(7)
      }, 20),
    { code: 7 }
  ),
  'process.exit() after 200 KB': end(
    (lanes) => {
      sendLong(lanes)
      process.exit()
    },
    { count: LONG.count }
  ),
  'process.exit() while the reader has stopped': end(
    ({ tell, peer }) => {
      tell({ op: 'pause', name: 'server' })
      const bytes = Buffer.alloc(60_000)
      const fill = () => {
        while (peer.send(bytes) === 0);
        // A full ring of 256 KiB may have two gaps that are a little too small for a message.
        if (peer.pendingBytes < 120_000) return setTimeout(fill, 5)
        process.exit()
      }
      setTimeout(fill, 100)
    },
    // What the system does not take cannot be handed over, and the process ends nevertheless.
    { needsLoop: true, lossy: true, code: 0 }
  ),
  'process.exit() in onMessage': end(
    ({ send, server, tell }) => {
      server.onMessage = () => {
        send()
        process.exit()
      }
      tell({ op: 'poke', name: 'server' })
    },
    { needsLoop: true }
  ),
  "process.on('exit')": end(({ send }) => {
    process.on('exit', () => send())
    setTimeout(() => process.exit(), 5)
  }),
  "process.on('exit'), 200 KB": end(
    (lanes) => {
      process.on('exit', () => sendLong(lanes))
      setTimeout(() => process.exit(), 5)
    },
    { count: LONG.count }
  ),
  'the natural end': end((lanes) => {
    lanes.send()
    unref(lanes)
  }),
  'the natural end, 200 KB': end(
    (lanes) => {
      sendLong(lanes)
      unref(lanes)
    },
    { count: LONG.count }
  ),
  "process.on('exit') at the natural end": end((lanes) => {
    process.on('exit', () => lanes.send())
    unref(lanes)
  }),
  beforeExit: end((lanes) => {
    process.once('beforeExit', () => lanes.send())
    unref(lanes)
  }),
  'the natural end after stop()': end(({ send, server, client, control }) => {
    send()
    client.stop()
    server.stop()
    control.end()
  }),
  'the natural end after stop(), 200 KB': end(
    (lanes) => {
      sendLong(lanes)
      lanes.client.stop()
      lanes.server.stop()
      lanes.control.end()
    },
    { count: LONG.count }
  ),
  'an exception that is not caught': end(
    ({ send }) =>
      setTimeout(() => {
        send()
        throw new Error('of the ending')
      }, 5),
    { code: 1, says: 'of the ending' }
  ),
  'a rejection that is not handled': end(
    ({ send }) =>
      setTimeout(async () => {
        send()
        throw new Error('of the ending')
      }, 5),
    { code: 1, says: 'of the ending' }
  ),
  'uncaughtException, then process.exit(3)': end(
    ({ send }) => {
      process.once('uncaughtException', () => {
        send()
        process.exit(3)
      })
      setTimeout(() => {
        throw new Error('of the ending')
      }, 5)
    },
    { code: 3 }
  ),
  'a signal, then process.exit(4)': end(
    ({ send }) => {
      process.once('SIGTERM', () => {
        send()
        process.exit(4)
      })
      process.kill(process.pid, 'SIGTERM')
    },
    { code: 4 }
  ),
  'process.exit() in a worker': end(
    ({ send }) => {
      send()
      process.exit(5)
    },
    { code: 5, inWorker: true }
  ),
  'the natural end of a worker': end(
    (lanes) => {
      lanes.send()
      unref(lanes)
    },
    { inWorker: true }
  )
}
