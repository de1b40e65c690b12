// Where one client connects to, and from where.
import { misuse } from '../errors.js'
import {
  type CheckedAddress,
  checkAddress,
  familyOf,
  hostOfPath,
  isNumericHost,
  type LocalAddress,
  pathOfHost
} from '../options/address.js'
import { Failures } from './failures.js'

/** The address of a client's server. Throws `ZERIO_BAD_ARGUMENT` and `ZERIO_ADDRESS_UNSUPPORTED`. */
export function checkClientAddress(given: unknown): CheckedAddress {
  const address = checkAddress(given, 'A client', ['path'])
  if (address.kind === 'port' && address.port === 0)
    throw misuse('ZERIO_BAD_ARGUMENT', 'A client needs the port of a server, from 1 to 65535, not 0.')
  return address
}

export class Destination {
  /** A host name, a numeric address, or `unix:` and a path. */
  readonly host: string
  readonly port: number
  /** Makes the errors of this client. */
  readonly failures: Failures
  readonly #source: Required<LocalAddress> | undefined

  /**
   * Throws `ZERIO_BAD_OPTION`.
   *
   * @param address of the server.
   * @param source the option `localAddress`.
   * @param timeoutMs the option `connectTimeoutMs`.
   */
  constructor(address: CheckedAddress, source: Required<LocalAddress> | undefined, timeoutMs: number) {
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
    // Of a name the families are known when it has been looked up.
    if (source !== undefined && isNumericHost(this.host) && familyOf(this.host) !== familyOf(source.host))
      throw misuse(
        'ZERIO_BAD_OPTION',
        `Option "localAddress" is ${source.host}, from which ${this.host} cannot be reached; give an address of the same family (IPv4 or IPv6).`
      )
    this.#source = source
    this.failures = new Failures(this.host, this.port, timeoutMs, source)
  }

  /**
   * The hosts to try, as the engine takes them. Only for those of a name `lookup` is asked: otherwise there is nothing to wait for, and
   * the connection is under way when `start` returns.
   */
  candidates(
    lookup: (name: string) => Promise<readonly string[]>
  ): readonly string[] | Promise<readonly string[]> {
    const isKnown = isNumericHost(this.host) || pathOfHost(this.host) !== undefined
    if (isKnown) return this.#ofFamily([this.host])
    return lookup(this.host).then((hosts) => this.#ofFamily(hosts))
  }

  #ofFamily(hosts: readonly string[]): readonly string[] {
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
