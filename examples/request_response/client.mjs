// A client of requests: many under way at once on one connection, whatever the order of the answers.
//
//     node examples/request_response/client.mjs [port]
import { ZerioClient } from 'zerio'
import { Requests } from './requests.mjs'

const client = new ZerioClient({ host: '127.0.0.1', port: Number(process.argv[2] ?? 48654) })
const requests = new Requests(client, { timeoutMs: 2_000 })
await client.start('asker')
const numbers = Array.from({ length: 100 }, (_, i) => 99 - i)
const squares = await Promise.all(
  numbers.map(async (number) => Number(await requests.request(Buffer.from(String(number)))))
)
console.log(`${squares.filter((square, i) => square === numbers[i] ** 2).length} squares`)
try {
  await requests.request(Buffer.from('seven'))
} catch (error) {
  console.log(`${error.why}: ${error.message}`)
}
await client.stop()
