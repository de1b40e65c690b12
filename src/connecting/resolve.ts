// Host names to numeric addresses.
import dns from 'node:dns'
import { ZerioError } from '../errors.js'

/**
 * All addresses of a host, in the system's order, each once. Rejects with the resolver's code (`ENOTFOUND`, `EAI_AGAIN`, …). The
 * function is taken from its module at each call, so that a program can put another one there.
 */
export async function lookupAll(host: string): Promise<string[]> {
  const failed = (code: string, cause?: unknown): ZerioError =>
    new ZerioError(
      code,
      `Cannot resolve the host name '${host}': ${code}; ${advice[code] ?? advice.other}.`,
      {
        syscall: 'getaddrinfo',
        address: host,
        cause
      }
    )
  let addresses: string[]
  try {
    addresses = (await dns.promises.lookup(host, { all: true, verbatim: true })).map((one) => one.address)
  } catch (cause) {
    throw failed((cause as NodeJS.ErrnoException | undefined)?.code ?? 'ENOTFOUND', cause)
  }
  if (addresses.length === 0) throw failed('ENOTFOUND')
  return [...new Set(addresses)]
}

const advice = {
  EAI_AGAIN: 'no name server answers; check the network connection and the name servers, and try again',
  EMFILE: 'the process is out of file descriptors; raise its limit (ulimit -n) or close some',
  other: 'check the name'
} as Record<string, string>
