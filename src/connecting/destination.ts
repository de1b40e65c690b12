// Where one client connects to, and from where.
import { misuse } from '../errors.js'
import {
  checkAddress,
  familyOf,
  hostOfPath,
  isNumericHost,
  type LocalAddress,
  pathOfHost
} from '../options/address.js'
import { Failures } from './failures.js'

export class Destination {
  /** A host name, a numeric address, or `unix:` and a path. */
  readonly host: string
  readonly port: number
  /** Makes the errors of this client. */
  readonly failures: Failures
  readonly #source: Required<LocalAddress> | undefined

  /**
   * Throws `ZERIO_BAD_ARGUMENT`, `ZERIO_BAD_OPTION` and `ZERIO_ADDRESS_UNSUPPORTED`.
   *
   * @param given what the program has passed as the client's address.
   * @param source the option `localAddress`.
   * @param timeoutMs the option `connectTimeoutMs`.
   */
  constructor(given: unknown, source: Required<LocalAddress> | undefined, timeoutMs: number) {
    const address = checkAddress(given, 'A client', ['path'])
    if (address.kind === 'port') {
      this.host = address.host ?? 'localhost'
      this.port = address.port
    } else {
      this.host = hostOfPath(address.kind === 'path' ? address.path : '')
      this.port = 0
      if (source !== undefined)
        throw misuse(
          'ZERIO_BAD_OPTION',
          'Option "localAddress" is for host and port; leave it out for a path.'
        )
    }
    this.#source = source
    this.failures = new Failures(this.host, this.port, timeoutMs, source)
  }

  /** The hosts to try, as the engine takes them. `lookup` is asked for those of a name. */
  async candidates(lookup: (name: string) => Promise<readonly string[]>): Promise<readonly string[]> {
    const isKnown = isNumericHost(this.host) || pathOfHost(this.host) !== undefined
    const hosts = isKnown ? [this.host] : await lookup(this.host)
    const source = this.#source
    if (source === undefined) return hosts
    const found = hosts.filter((host) => familyOf(host) === familyOf(source.host))
    if (found.length === 0) throw this.failures.noneOfFamily(source.host)
    return found
  }

  /** What of it the engine has to know beside the host. */
  get request(): { port: number; sourceHost: string | undefined; sourcePort: number | undefined } {
    return { port: this.port, sourceHost: this.#source?.host, sourcePort: this.#source?.port }
  }
}
