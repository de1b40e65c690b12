// A client of the chat: sends each line of its input, and prints what the others do.
//
//     node examples/chat/client.mjs NAME [port]
import { createInterface } from 'node:readline'
import { ZerioClient } from 'zerio'

const [name = 'guest', port = '48654'] = process.argv.slice(2)
const client = new ZerioClient({ host: '127.0.0.1', port: Number(port) })
/** Other people's text must not command this terminal. */
const harmless = (text) => text.replaceAll(/\p{Cc}/gu, ' ')

client.on('message', (message) => {
  const event = JSON.parse(message.toString())
  if (event.kind === 'here') console.log(`here: ${event.names.join(', ')}`)
  else if (event.kind === 'came') console.log(`${event.name} is here`)
  else if (event.kind === 'left') console.log(`${event.name} left`)
  else console.log(`${event.name}: ${harmless(event.text)}`)
})
client.on('disconnected', (reason) => {
  if (!reason.local) console.log(`disconnected: ${reason}`)
  lines?.close()
})

let lines
try {
  await client.start(name)
} catch (error) {
  console.error(error.code === 'ZERIO_DUPLICATE_PEER_ID' ? `${name} is taken` : error.message)
  process.exit(1)
}
// Not earlier: lines that come before there is a connection would be lost.
lines = createInterface({ input: process.stdin })
lines.on('line', (line) => client.send(Buffer.from(line)))
lines.on('close', () => client.stop())
