// The places in a Node program that can send. Each source has `send` called once from its place, and does nothing
// afterwards that would wake the loop. The function that it returns clears up once the observer has the message.

import { AsyncResource } from 'node:async_hooks'
import { fork, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import dns from 'node:dns'
import { EventEmitter, once } from 'node:events'
import fs from 'node:fs'
import fsPromises from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PerformanceObserver } from 'node:perf_hooks'
import { pipeline, Readable, Writable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { MessageChannel, Worker } from 'node:worker_threads'
import { deflate } from 'node:zlib'

/** How long the callback after the one that sent keeps the thread. */
const BLOCK_MS = 220
const EMPTY_MODULE = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
const here = fileURLToPath(import.meta.url)

function block(ms = BLOCK_MS) {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** Calls `first` the first time and `others` afterwards. */
function firstThen(first, others) {
  let calls = 0
  return () => (calls++ === 0 ? first() : others())
}

/** Calls `send` with 0, 1, … each time, `count` times. */
const numbered = (send, count) => {
  let index = 0
  return () => index < count && send(index++)
}

async function listening(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

const stream = (count, intervalMs) => ({
  count,
  once: true,
  start: (send) => {
    const timer = setInterval(numbered(send, count), intervalMs)
    return () => clearInterval(timer)
  }
})

/** Sources that work in the main thread only, or need a loop that serves the engine. */
const onlyMain = (start) => ({ start, mainOnly: true })
const handler = (source) => ({ ...asObject(source), needsLoop: true })

const plain = {
  'setTimeout, 0 ms': (send) => void setTimeout(send, 0),
  'setTimeout, 20 ms': (send) => void setTimeout(send, 20),
  'setTimeout, not referenced': (send) => void setTimeout(send, 5).unref(),
  'setInterval, 1 ms': stream(200, 1),
  'setInterval, 10 ms': stream(60, 10),
  'two timers of one list': {
    count: 2,
    start: (send) => {
      setTimeout(send, 3, 0)
      setTimeout(send, 3, 1)
    }
  },
  setImmediate: (send) => void setImmediate(send),
  'setImmediate in a timer': (send) => void setTimeout(() => setImmediate(send), 3),
  'setImmediate, not referenced': (send) => fs.stat(here, () => setImmediate(send).unref()),
  'setImmediate, not referenced, in a timer': {
    // Such an immediate waits until something else wakes the loop, which zerio cannot change.
    start: (send) => void setTimeout(() => setImmediate(send).unref() && setTimeout(() => {}, 2), 3)
  },
  'a chain of immediates': { count: 5, start: (send) => chain(send, 5) },
  'process.nextTick': (send) => process.nextTick(send),
  'process.nextTick in a timer': (send) => void setTimeout(() => process.nextTick(send), 3),
  queueMicrotask: (send) => queueMicrotask(send),
  'queueMicrotask in an immediate': (send) => void setImmediate(() => queueMicrotask(send)),
  promise: async (send) => {
    await null
    send()
  },
  'timers/promises': (send) => void pause(3).then(() => send()),
  'AbortSignal.timeout': (send) => AbortSignal.timeout(3).addEventListener('abort', () => send()),
  'fs callback': (send) => fs.stat(here, () => send()),
  'fs promise': (send) => void fsPromises.stat(here).then(() => send()),
  'fs.read callback': (send) => {
    const file = fs.openSync(here)
    fs.read(file, Buffer.alloc(100), 0, 100, 0, () => send())
    return () => fs.closeSync(file)
  },
  'fs.watch callback': (send) => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'zerio-host-'))
    const callback = firstThen(send, () => {})
    const watcher = fs.watch(folder, () => callback())
    fs.writeFileSync(join(folder, 'file'), 'x')
    return () => {
      watcher.close()
      fs.rmSync(folder, { recursive: true })
    }
  },
  'dns callback': (send) => void dns.lookup('localhost', () => send()),
  'crypto callback': (send) => void randomBytes(100, () => send()),
  'zlib callback': (send) => deflate(Buffer.alloc(1000), () => send()),
  'WebAssembly.compile': (send) => void WebAssembly.compile(EMPTY_MODULE).then(() => send()),
  'Atomics.waitAsync': (send) => {
    const words = new Int32Array(new SharedArrayBuffer(4))
    Atomics.waitAsync(words, 0, 0).value.then(() => send())
    setTimeout(() => Atomics.notify(words, 0), 3)
  },
  'dynamic import': (send) => void import(`./wire.mjs?${Math.random()}`).then(() => send()),
  'net data': (send, host) => {
    host.onPoke('net', send)
    host.tell({ op: 'net' })
  },
  'net connection': async (send, host) => {
    const server = net.createServer((socket) => {
      send()
      socket.on('error', () => {})
      host.later(() => socket.destroy())
    })
    host.tell({ op: 'dial', port: await listening(server) })
    return () => server.close()
  },
  'close callback': async (send) => {
    const server = net.createServer()
    await listening(server)
    server.close(() => send())
  },
  'http request handler': async (send, host) => {
    const server = http.createServer((_request, response) => {
      send()
      host.later(() => response.destroy())
    })
    host.tell({ op: 'request', port: await listening(server) })
    return () => server.close()
  },
  'http response': (send, host) => {
    const request = http.get({ host: '127.0.0.1', port: host.ports.web, agent: false }, () => send())
    return () => request.destroy()
  },
  'fetch response': (send, host) => {
    const abort = new AbortController()
    fetch(`http://127.0.0.1:${host.ports.web}`, { signal: abort.signal }).then(() => send())
    return () => abort.abort()
  },
  'dgram message': async (send) => {
    const socket = createSocket('udp4').on('message', () => send())
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
    socket.send('x', socket.address().port, '127.0.0.1')
    return () => socket.close()
  },
  'child process exit': (send) => void spawn('/bin/true').on('exit', () => send()),
  'output of a child process': (send) => {
    spawn('/bin/echo', ['x']).stdout.once('data', () => send())
  },
  'child process message': {
    once: true,
    start: (send) => {
      const child = fork(here, ['--poke'], { execArgv: [] }).on('message', () => send())
      return () => child.kill('SIGKILL')
    }
  },
  'message of the parent process': onlyMain((send, host) => {
    process.once('message', () => send())
    host.tell({ op: 'ipc' })
  }),
  'stdin data': onlyMain((send, host) => {
    process.stdin.resume().once('data', () => send())
    host.tell({ op: 'stdin' })
    return () => process.stdin.pause()
  }),
  signal: onlyMain((send) => {
    process.once('SIGUSR2', () => send())
    process.kill(process.pid, 'SIGUSR2')
  }),
  'worker message': {
    once: true,
    start: (send) => {
      const source = `const { parentPort } = require('node:worker_threads'); parentPort.postMessage('x'); parentPort.on('message', () => {})`
      const worker = new Worker(source, { eval: true, execArgv: [] }).on('message', () => send())
      return () => worker.terminate()
    }
  },
  'worker exit': {
    once: true,
    start: (send) => void new Worker('', { eval: true, execArgv: [] }).on('exit', () => send())
  },
  'MessagePort message': (send) => {
    const { port1, port2 } = new MessageChannel()
    port2.on('message', () => send())
    port1.postMessage('x')
    return () => port1.close()
  },
  'BroadcastChannel message': (send) => {
    const [from, to] = [new BroadcastChannel('host'), new BroadcastChannel('host')]
    to.onmessage = () => send()
    from.postMessage('x')
    return () => {
      from.close()
      to.close()
    }
  },
  'stream pipeline': (send) => {
    let goOn
    const sink = new Writable({
      write: (_chunk, _encoding, done) => {
        send()
        goOn = done
      }
    })
    pipeline(Readable.from(['x']), sink, () => {})
    return () => goOn()
  },
  PerformanceObserver: (send) => {
    const observer = new PerformanceObserver(() => {
      observer.disconnect()
      send()
    })
    observer.observe({ entryTypes: ['mark'] })
    performance.mark('host')
  },
  uncaughtException: (send) => {
    process.once('uncaughtException', () => send())
    setTimeout(() => {
      throw new Error('of the source')
    }, 1)
  },
  'uncaughtException of a tick': (send) => {
    process.once('uncaughtException', () => send())
    setTimeout(() => {
      process.nextTick(() => {
        throw new Error('of the source')
      })
    }, 1)
  },
  unhandledRejection: (send) => {
    process.once('unhandledRejection', () => send())
    setTimeout(() => Promise.reject(new Error('of the source')), 1)
  },
  'FinalizationRegistry callback': {
    once: true,
    start: async (send) => {
      let called = false
      const registry = new FinalizationRegistry(() => {
        if (!called) send()
        called = true
      })
      // In a frame of its own, so that nothing of it stays on the stack.
      const forget = () => registry.register({ some: 'object' }, 1)
      forget()
      for (let tries = 0; !called && tries < 20; tries++) {
        await pause(5)
        globalThis.gc()
        await new Promise(setImmediate)
      }
      return () => registry
    }
  },
  'AsyncResource.runInAsyncScope': (send) => {
    const resource = new AsyncResource('host')
    setTimeout(() => resource.runInAsyncScope(send), 3)
  },
  'an emitter in a timer': (send) => {
    const emitter = new EventEmitter().on('event', () => send())
    setTimeout(() => emitter.emit('event'), 3)
  },
  'code of a vm context': (send) => {
    vm.runInNewContext('later(() => Promise.resolve().then(() => send()), 3)', {
      send: () => send(),
      later: setTimeout
    })
  }
}

function chain(send, count) {
  const next = numbered(send, count)
  let left = count
  const turn = () => {
    next()
    if (--left > 0) setImmediate(turn)
  }
  setImmediate(turn)
}

const ofZerio = {
  'onMessage of a server': (send, host) => {
    host.onPoke('server', send)
    host.tell({ op: 'poke', name: 'server' })
  },
  'onMessage of a client': (send, host) => {
    host.onPoke('client', send)
    host.tell({ op: 'poke', name: 'client' })
  },
  'onMessage of another engine': (send, host) => {
    host.onPoke('other', send)
    host.tell({ op: 'poke', name: 'other' })
  },
  'a tick of onMessage': (send, host) => {
    host.onPoke('server', () => process.nextTick(send))
    host.tell({ op: 'poke', name: 'server' })
  },
  'a microtask of onMessage': (send, host) => {
    host.onPoke('server', () => queueMicrotask(send))
    host.tell({ op: 'poke', name: 'server' })
  },
  'an immediate of onMessage': (send, host) => {
    host.onPoke('server', () => setImmediate(send))
    host.tell({ op: 'poke', name: 'server' })
  },
  clientConnected: (send, host) => {
    host.server.once('clientConnected', () => send())
    host.tell({ op: 'connect', name: 'guest', port: host.server.listeningPort })
    return () => host.part('guest')
  },
  clientDisconnected: async (send, host) => {
    host.tell({ op: 'connect', name: 'guest', port: host.server.listeningPort })
    await once(host.server, 'clientConnected')
    host.server.once('clientDisconnected', () => send())
    host.tell({ op: 'disconnect', name: 'guest' })
  },
  drain: async (send, host) => {
    host.tell({ op: 'connect', name: 'guest', port: host.server.listeningPort })
    await once(host.server, 'clientConnected')
    host.tell({ op: 'pause', name: 'guest' })
    const guest = host.server.peer('guest')
    const bytes = Buffer.alloc(60_000)
    for (let refused = 0; refused < 3; ) {
      refused = guest.send(bytes) === 0 ? 0 : refused + 1
      host.server.flush()
    }
    host.server.once('drain', () => send())
    host.tell({ op: 'resume', name: 'guest' })
    return () => host.part('guest')
  },
  'setInterval, 10 ms, while peers come and go': {
    count: 60,
    once: true,
    start: (send, host) => {
      // Handshakes have deadlines, and the timers of deadlines meet those of the program at all phases.
      const next = numbered(send, 60)
      let ticks = 0
      const timer = setInterval(() => {
        next()
        const afterMs = ticks % 10
        if (++ticks % 7 === 0)
          host.tell({ op: 'connect', name: `${ticks}`, port: host.server.listeningPort, afterMs })
        if (ticks % 7 === 5 && ticks > 7) host.tell({ op: 'disconnect', name: `${ticks - 5}` })
      }, 10)
      return () => clearInterval(timer)
    }
  },
  'after await start()': async (send, host) => {
    const client = host.makeClient()
    await client.start('guest')
    send()
    return () => client.stop()
  },
  'after await stop()': async (send, host) => {
    const client = host.makeClient()
    await client.start('guest')
    await client.stop()
    send()
  },
  'uncaughtException of onMessage': (send, host) => {
    process.once('uncaughtException', () => send())
    host.onPoke('server', () => {
      throw new Error('of the source')
    })
    host.tell({ op: 'poke', name: 'server' })
  }
}

/** A callback that keeps the thread must not delay a message that was sent before it. */
const blocked = {
  'timer; the next timer blocks': (send) => {
    setTimeout(send, 3)
    setTimeout(block, 3)
  },
  'timer; an immediate blocks': (send) => {
    setTimeout(() => {
      send()
      setImmediate(block)
    }, 3)
  },
  'immediate; the next immediate blocks': (send) => {
    setImmediate(send)
    setImmediate(() => block())
  },
  'immediate; a timer blocks': (send) => {
    setImmediate(() => {
      send()
      setTimeout(() => block(), 0)
    })
  },
  'fs callback; the next fs callback blocks': (send) => {
    const callback = firstThen(send, block)
    fs.stat(here, () => callback())
    fs.stat(here, () => callback())
    block(15)
  },
  'fs callback; an immediate blocks': (send) => {
    fs.stat(here, () => {
      send()
      setImmediate(() => block())
    })
  },
  'tick; an immediate blocks': (send) => {
    setTimeout(() => {
      process.nextTick(send)
      setImmediate(() => block())
    }, 3)
  },
  'dgram message; the next one blocks': async (send) => {
    const callback = firstThen(send, block)
    const socket = createSocket('udp4').on('message', () => callback())
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
    const port = socket.address().port
    socket.send('x', port, '127.0.0.1')
    socket.send('y', port, '127.0.0.1')
    block(5)
    return () => socket.close()
  },
  'MessagePort message; the next one blocks': (send) => {
    const callback = firstThen(send, block)
    const { port1, port2 } = new MessageChannel()
    port2.on('message', () => callback())
    port1.postMessage('x')
    port1.postMessage('y')
    return () => port1.close()
  }
}

const blockedOfZerio = {
  'onMessage; an immediate blocks': (send, host) => {
    host.onPoke('server', () => {
      send()
      setImmediate(() => block())
    })
    host.tell({ op: 'poke', name: 'server' })
  },
  'onMessage of another engine; an immediate blocks': (send, host) => {
    host.onPoke('other', () => {
      send()
      setImmediate(() => block())
    })
    host.tell({ op: 'poke', name: 'other' })
  }
}

const asObject = (source) => (typeof source === 'function' ? { start: source } : source)

/** By name: `{ start(send, host), count, once, mainOnly, needsLoop }`. */
export const sources = Object.fromEntries([
  ...Object.entries(plain).map(([name, source]) => [name, asObject(source)]),
  ...Object.entries(ofZerio).map(([name, source]) => [name, handler(source)]),
  ...Object.entries(blocked).map(([name, source]) => [name, { start: source, once: true }]),
  ...Object.entries(blockedOfZerio).map(([name, source]) => [name, { ...handler(source), once: true }])
])

if (process.argv.includes('--poke')) {
  process.send('x')
  process.on('message', () => {})
}
