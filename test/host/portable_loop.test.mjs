// The portable loop driver, which Bun and Deno need, in Node.js: ZERIO_LOOP=portable.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const script = fileURLToPath(new URL('../../lab/runtimes/conversation.mjs', import.meta.url))

for (const part of ['echo', 'manual', 'backPressure', 'reconnect', 'deadlines', 'workers']) {
  test(`a thread that waits drives the engine: ${part}`, async (t) => {
    const env = { ...process.env, ZERIO_LOOP: 'portable' }
    const child = spawn(process.execPath, [script, part], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => child.kill('SIGKILL'))
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    }
    const [status] = await once(child, 'close')
    t.is(status, 0, output)
    t.regex(output, new RegExp(`^ok ${part}: .*\\nended\\n$`))
  })
}
