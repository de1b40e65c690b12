// A process ends right behind its last send: node lab/windows/exit_after_send.mjs writer|reader <file>. The reader, a plain socket on the
// other system, writes its port into the file, reads slowly, and must see each message and the end of the stream.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { SendStatus, ZerioClient } from 'zerio'
import { frame, readFrames } from '../../test/helpers/classic.mjs'

const [side, file] = process.argv.slice(2)
const MESSAGES = 1000
const MESSAGE_BYTES = 1000
// Slow enough that most of the stream is on its way when the writer ends, and fast enough that it is read within a second.
const PAUSE_MS = 2
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function readSlowly(socket) {
  let messages = 0
  let greeted = false
  readFrames(socket, (payload) => {
    if (!greeted) {
      greeted = true
      socket.write(frame(payload))
      return
    }
    if (!payload.equals(Buffer.alloc(MESSAGE_BYTES, messages))) throw new Error(`message ${messages} differs`)
    messages++
  })
  socket.on('data', async () => {
    socket.pause()
    await pause(PAUSE_MS)
    socket.resume()
  })
  socket.on('error', ({ code }) => {
    console.log(`${code} after ${messages} messages`)
    process.exit(1)
  })
  socket.on('end', () => {
    console.log(`${messages} messages and the end`)
    process.exit(messages === MESSAGES ? 0 : 1)
  })
}

if (side === 'reader') {
  const listener = createServer({ highWaterMark: 16_384 }, readSlowly).listen(0, '127.0.0.1', () => {
    writeFileSync(`${file}.new`, String(listener.address().port))
    renameSync(`${file}.new`, file)
  })
} else {
  while (!existsSync(file)) await pause(5)
  const port = Number(readFileSync(file, 'utf8'))
  const client = new ZerioClient(
    { host: '127.0.0.1', port },
    { protocol: 'classic', sendRingBytes: 2 * MESSAGES * MESSAGE_BYTES }
  )
  await client.start('writer')
  for (let i = 0; i < MESSAGES; i++) {
    if (client.send(Buffer.alloc(MESSAGE_BYTES, i)) !== SendStatus.Sent)
      throw new Error(`message ${i} was not sent`)
  }
  console.log(`round 1: ${client.engine.backend} ends`)
  process.exit()
}
