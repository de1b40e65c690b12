// Sends one message to many peers (perf/c/sink.c) with node:net, one write() per message as it is usually written, or
// with --batched the messages of a turn in one write() per peer. The blocks are those of perf/zerio/fan_out_server.mjs.
import { createServer } from 'node:net'
import { runBlocks } from '../lib/fan_out.mjs'
import { format } from '../lib/message.mjs'
import { fail, readFlags, report } from '../lib/program.mjs'

const { HEADER_BYTES } = format

const flags = readFlags({ bytes: 32, peers: 1, perTurn: 1, turns: 100, blocks: 10, batched: false })
const sockets = []
let onAnswer = () => {}
let onConnected = () => {}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', (error) => fail(error.message))
  let bytes = Buffer.alloc(0)
  let greeted = false
  // The first frame is the peer's id, and is sent back; the others are answers.
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk])
    if (bytes.length < HEADER_BYTES || bytes.length < HEADER_BYTES + bytes.readUInt32LE()) return
    const frame = bytes
    bytes = Buffer.alloc(0)
    if (greeted) return onAnswer(frame.readDoubleLE(HEADER_BYTES))
    greeted = true
    sockets.push(socket)
    socket.write(frame)
    if (sockets.length === flags.peers) onConnected()
  })
})

function makeFrame(stamped) {
  // The sockets keep the bytes until they are written, so each message needs its own; they share it.
  const frame = Buffer.alloc(HEADER_BYTES + flags.bytes)
  frame.writeUInt32LE(flags.bytes)
  if (stamped) frame.writeDoubleLE(Number(process.hrtime.bigint()), HEADER_BYTES)
  return frame
}

function sendTurn(stamped) {
  const frames = Array.from({ length: flags.perTurn }, (_, i) =>
    makeFrame(stamped && i === flags.perTurn - 1)
  )
  if (flags.batched) {
    const batch = Buffer.concat(frames)
    for (const socket of sockets) socket.write(batch)
  } else {
    for (const frame of frames) for (const socket of sockets) socket.write(frame)
  }
}

const all = new Promise((resolve) => {
  onConnected = resolve
})
server.listen(0, '127.0.0.1', 1024, () => report({ port: server.address().port }))
await all
const answers = { next: () => new Promise((resolve) => (onAnswer = resolve)) }
report(await runBlocks(flags, sendTurn, answers))
process.exit()
