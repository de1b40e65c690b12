// Host names to numeric addresses.
import { lookup } from 'node:dns/promises'
import { ZerioError } from './errors.js'

/** All addresses of a host, in the system's order. Rejects with the resolver's code (`ENOTFOUND`, `EAI_AGAIN`, …). */
export async function lookupAll(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true, verbatim: true })).map((one) => one.address)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'ENOTFOUND'
    throw new ZerioError(code, `Cannot resolve the host name '${host}': ${code}; check the name.`, {
      syscall: 'getaddrinfo',
      address: host,
      cause
    })
  }
}
