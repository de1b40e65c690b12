// The attacks: each opens connections with `open` and does what no good peer does, until a command ends it.
//
// `expect(delta)` looks at the server's counters afterwards: how many of the connections they account for. `legal` is an attack that
// breaks no rule: its connections stay, and only the others' latency is judged.

import { controlFrame, dataFrame, hello, OPCODE } from '../../../test/helpers/wire_raw.mjs'
import { ATTACK_LIMITS } from './attack_limits.mjs'

const GREETED = (socket) => new Promise((resolve) => socket.once('data', resolve).once('close', resolve))
const random = (below) => Math.floor(Math.random() * below)
const randomBytes = (length) => Buffer.from(Array.from({ length }, () => random(256)))
let names = 0
const introduce = (socket) => socket.write(hello({ id: `bad ${process.pid} ${names++}` }))

/** Writes `bytes` again and again, as fast as the socket takes them. */
function flood(socket, bytes, goesOn) {
  const more = () => {
    while (goesOn() && !socket.destroyed && socket.write(bytes));
    if (goesOn() && !socket.destroyed) socket.once('drain', more)
  }
  more()
}

export const attacks = {
  'random bytes': {
    width: 40,
    async one(socket) {
      socket.write(randomBytes(1 + random(4000)))
    }
  },
  'random bytes behind a handshake': {
    width: 20,
    async one(socket) {
      introduce(socket)
      await GREETED(socket)
      for (let i = 0; i < 50 && !socket.destroyed; i++) socket.write(randomBytes(2000))
    }
  },
  'truncated frames': {
    width: 40,
    async one(socket) {
      const whole = hello({ id: `cut ${names++}` })
      if (random(2) === 0) {
        socket.end(whole.subarray(0, 1 + random(whole.length - 1)))
        return
      }
      introduce(socket)
      await GREETED(socket)
      const frame = dataFrame(Buffer.alloc(5000))
      socket.end(frame.subarray(0, 1 + random(frame.length - 1)))
    }
  },
  'oversized frames': {
    width: 40,
    async one(socket) {
      if (random(2) === 0) {
        socket.write(random(2) === 0 ? Buffer.from([255, 255, 255, 0x81]) : Buffer.from([255, 255, 255, 0]))
        return
      }
      introduce(socket)
      await GREETED(socket)
      const header =
        random(2) === 0 ? controlFrame(OPCODE.ping, Buffer.alloc(2000)) : Buffer.from([255, 255, 255, 3])
      socket.write(header)
    }
  },
  'connections without handshake': {
    // More than are taken at a time.
    width: 3 * ATTACK_LIMITS.maxHandshakes,
    async one() {}
  },
  'more peers than there is room': {
    width: 2 * ATTACK_LIMITS.maxPeers,
    async one(socket) {
      introduce(socket)
    }
  },
  'one byte at a time': {
    width: 100,
    async one(socket) {
      const bytes = hello({ id: `slow ${names++}` })
      let at = 0
      const timer = setInterval(() => {
        if (socket.destroyed || at === bytes.length) clearInterval(timer)
        else socket.write(bytes.subarray(at, ++at))
      }, 100)
      socket.once('close', () => clearInterval(timer))
    }
  },
  'half-closed peers': {
    width: 20,
    async one(socket) {
      introduce(socket)
      await GREETED(socket)
      for (let i = 0; i < 20; i++) socket.write(dataFrame(Buffer.alloc(random(3000))))
      socket.end()
    }
  },
  resets: {
    width: 20,
    async one(socket) {
      introduce(socket)
      if (random(2) === 0) await GREETED(socket)
      socket.write(dataFrame(Buffer.alloc(random(20_000))), () => socket.resetAndDestroy())
    }
  },
  'peers that never read': {
    width: 20,
    reads: false,
    async one(socket) {
      introduce(socket)
      // Half a megabyte of echoes each, and then silence.
      for (let i = 0; i < 10; i++) socket.write(dataFrame(Buffer.alloc(60_000)))
    }
  },
  'a flood of tiny frames': {
    legal: true,
    width: 2,
    async one(socket, goesOn) {
      introduce(socket)
      await GREETED(socket)
      flood(socket, Buffer.alloc(65_536), goesOn)
    }
  },
  'a flood of long messages': {
    legal: true,
    width: 2,
    async one(socket, goesOn) {
      introduce(socket)
      await GREETED(socket)
      flood(socket, dataFrame(Buffer.alloc(65_536)), goesOn)
    }
  },
  'a flood of pings': {
    legal: true,
    width: 2,
    async one(socket, goesOn) {
      introduce(socket)
      await GREETED(socket)
      const ping = controlFrame(OPCODE.ping, Buffer.alloc(8))
      flood(socket, Buffer.concat(Array.from({ length: 5000 }, () => ping)), goesOn)
    }
  },
  'a flood that is never read': {
    legal: true,
    width: 2,
    reads: false,
    async one(socket, goesOn) {
      introduce(socket)
      flood(socket, Buffer.alloc(65_536), goesOn)
    }
  }
}
