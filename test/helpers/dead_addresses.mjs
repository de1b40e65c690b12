// Makes addresses that do not answer: their listener's queue is full and its thread stands still, so that the system drops each SYN.

import { once } from 'node:events'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'

const listenAndStandStill = `
  const { createServer } = require('node:net')
  const { parentPort, workerData } = require('node:worker_threads')
  let left = workerData.hosts.length
  for (const host of workerData.hosts) createServer().listen({ host, port: workerData.port, backlog: 1 }, () => {
    if (--left > 0) return
    parentPort.postMessage('listening')
    Atomics.wait(workerData.word, 0, 0)
    process.exit()
  })
`

/** Makes `port` of each of these loopback addresses (127.0.0.0/8) one that does not answer, until the test ends. */
export async function killAddresses(t, hosts, port) {
  const word = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(listenAndStandStill, { eval: true, workerData: { hosts, port, word } })
  const sockets = []
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    Atomics.store(word, 0, 1)
    Atomics.notify(word, 0)
    await once(worker, 'exit')
  })
  await once(worker, 'message')
  for (const host of hosts) {
    // The queue of a backlog of 1 has room for two.
    for (let i = 0; i < 2; i++) {
      const socket = connect(port, host)
      sockets.push(socket)
      await once(socket, 'connect')
      socket.on('error', () => {})
    }
  }
}
