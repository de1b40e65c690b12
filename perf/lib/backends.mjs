// Which backends this build of zerio has on this system: those whose server starts.
import { ZerioServer } from 'zerio'

const KNOWN = ['epoll', 'io_uring']

/** @returns {Promise<string[]>} */
export async function availableBackends() {
  const available = []
  for (const backend of KNOWN) {
    const server = new ZerioServer({ host: '127.0.0.1', port: 0 }, { backend })
    try {
      await server.start('probe')
      available.push(backend)
      await server.stop()
    } catch (error) {
      if (error.code !== 'ZERIO_BACKEND_UNAVAILABLE') throw error
    }
  }
  return available
}
