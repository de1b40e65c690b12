// What an error of the system means depends on the call that met it: the sentence names the cause and what to do.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ZerioError, ZerioServer } from 'zerio'
import { runLimited } from '../helpers/limited.mjs'
import { startServer } from '../helpers/link.mjs'

const code = (name) => ({ instanceOf: ZerioError, code: name })

/** A network namespace with loopback alone and two ports for connections. */
const smallNetwork = `exec unshare -rn bash -c 'ip link set lo up && ip route add prohibit 203.0.113.0/24 && echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range && exec "$0" "$@"' "$0" "$@"`
const hasNamespaces = spawnSync('bash', ['-c', smallNetwork, 'true'], { stdio: 'ignore' }).status === 0
const testInNamespace = hasNamespaces
  ? test
  : (name) =>
      test(name, (t) => {
        t.log('not run: this user may not make a network namespace')
        t.pass()
      })

testInNamespace('connect: no free local port, no route, no permission', async (t) => {
  const result = await runLimited(
    smallNetwork,
    `import { createServer, connect } from 'node:net'
    import { once } from 'node:events'
    import { ZerioClient } from 'zerio'
    const errorOf = (host, port) => new ZerioClient({ host, port }).start('client').catch((error) => error)
    const server = createServer().listen(5000, '127.0.0.1')
    await once(server, 'listening')
    const unreachable = await errorOf('198.51.100.1', 5000)
    const prohibited = await errorOf('203.0.113.1', 5000)
    for (let full = false; !full;) {
      const socket = connect(5000, '127.0.0.1')
      full = await new Promise((resolve) => socket.once('connect', () => resolve(false)).once('error', () => resolve(true)))
    }
    const exhausted = await errorOf('127.0.0.1', 5000)
    const words = ({ code, syscall, message }) => ({ code, syscall, message })
    console.log(JSON.stringify({ exhausted: words(exhausted), unreachable: words(unreachable), prohibited: words(prohibited) }))
    process.exit()`
  )
  t.is(result.code, 0, result.stderr)
  const { exhausted, unreachable, prohibited } = JSON.parse(result.stdout)
  t.like(exhausted, { code: 'EADDRNOTAVAIL', syscall: 'connect' })
  t.regex(exhausted.message, /no local port is free.*ip_local_port_range/)
  t.like(unreachable, { code: 'ENETUNREACH', syscall: 'connect' })
  t.regex(unreachable.message, /no route leads to this network; check/)
  t.like(prohibited, { code: 'EACCES', syscall: 'connect' })
  t.regex(prohibited.message, /permission.*firewall/)
  t.notRegex(prohibited.message, /1023/)
})

test('the error of an address of another machine names the cause', async (t) => {
  const server = new ZerioServer({ host: '198.51.100.77', port: 0 })
  const { message } = await t.throwsAsync(server.start('server'), code('EADDRNOTAVAIL'))
  t.regex(message, /does not have the address/)
})

test('the error of a port in use names the cause, in a cluster the other workers first', async (t) => {
  const { listeningPort: port } = await startServer(t)
  const server = new ZerioServer({ host: '127.0.0.1', port })
  const { message } = await t.throwsAsync(server.start('server'), code('EADDRINUSE'))
  t.regex(message, /choose another port.*reusePort/)

  const folder = mkdtempSync(join(tmpdir(), 'zerio-cluster-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const script = join(folder, 'cluster.mjs')
  const zerio = new URL('../../dist/index.mjs', import.meta.url)
  writeFileSync(
    script,
    `import cluster from 'node:cluster'
    import { ZerioServer } from '${zerio}'
    if (cluster.isPrimary) {
      cluster.fork().on('message', (message) => { console.log(message); process.exit() })
    } else {
      const server = new ZerioServer({ host: '127.0.0.1', port: ${port} })
      server.start('server').catch((error) => process.send(error.message))
    }`
  )
  const { stdout } = spawnSync(process.execPath, [script], {
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('../..', import.meta.url))
  })
  t.regex(stdout, /another worker's.*set the option reusePort in every worker/)
})

test('the error of an engine without a descriptor names the cause', async (t) => {
  const result = await runLimited(
    'ulimit -n 64',
    `import { openSync } from 'node:fs'
    import { ZerioServer } from 'zerio'
    try { for (;;) openSync('/dev/null') } catch {}
    const error = await new ZerioServer({ host: '127.0.0.1', port: 0 }).start('server').catch((one) => one)
    console.log(JSON.stringify({ ...error, message: error.message }))`
  )
  const error = JSON.parse(result.stdout)
  t.is(error.code, 'EMFILE')
  t.regex(error.syscall, /^(epoll_create1|io_uring_setup|kqueue)$/)
  t.regex(error.message, /Cannot make an engine with the backend '\w+': EMFILE.*ulimit -n/)
})
