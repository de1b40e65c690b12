// A server of requests: squares numbers, slow ones later than fast ones, and refuses what is no number.
//
//     node examples/request_response/server.mjs [port]
import { setTimeout as pause } from 'node:timers/promises'
import { ZerioServer } from 'zerio'
import { answerRequests } from './requests.mjs'

const server = new ZerioServer({ host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) })
answerRequests(server, async (body) => {
  const value = Number(body.toString())
  if (!Number.isFinite(value)) throw new Error(`${body} is not a number`)
  await pause(value % 10)
  return Buffer.from(String(value * value))
})
await server.start('squares')
console.log(`listening on ${server.listeningPort}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.stop())
