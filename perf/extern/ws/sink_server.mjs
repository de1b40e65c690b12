// The receiving side of one-way throughput with ws: reads a field of every message and counts them.
import { WebSocketServer } from 'ws'
import { format } from '../../lib/message.mjs'
import { fail, readFlags, report } from '../../lib/program.mjs'
import { Rate } from '../../lib/rate.mjs'

const { QUANTITY_AT, sequenceOf } = format

const CHECK_MASK = 1023
const { warmupMs, durationMs } = readFlags({ warmupMs: 500, durationMs: 1000 })
const rate = new Rate(warmupMs, durationMs)
let count = 0
let quantities = 0

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
server.on('connection', (socket) => {
  socket.on('message', (message) => {
    quantities = (quantities + message.readInt32LE(QUANTITY_AT)) | 0
    count++
    if ((count & CHECK_MASK) !== 0) return
    if (message.readInt32LE(0) !== sequenceOf(count)) fail('messages were lost')
    const messagesPerSecond = rate.update(count)
    if (messagesPerSecond === 0) return
    socket.removeAllListeners('message')
    socket.terminate()
    server.close()
    report({ messagesPerSecond, quantities })
  })
})
server.on('listening', () => report({ port: server.address().port }))
