// What an ordinary program does beside its messages, the same for zerio and for node:net: timers every 5 ms, and answers to http.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { report } from './program.mjs'

const TIMER_MS = 5

/**
 * Runs until stdin ends.
 * @param {{ port: number, messages: () => number }} own where peers connect, and how many messages there were so far
 */
export async function runOrdinary({ port, messages }) {
  let ticks = 0
  const seconds = new Map()
  setInterval(() => {
    // As a program that looks at its own figures.
    const second = Math.floor(performance.now() / 1000)
    seconds.set(second, messages())
    seconds.delete(second - 60)
    ticks++
  }, TIMER_MS)
  const web = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ messages: messages(), ticks }))
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  process.stdin.resume().on('end', () => process.exit())
  report({ port, webPort: web.address().port })
}
