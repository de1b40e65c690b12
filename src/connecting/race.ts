// Connecting to a host with several addresses: attempts overlap (RFC 8305, "Happy Eyeballs"), so that an address that does not answer
// costs a quarter of a second and not the whole time limit.
import { ZerioError } from '../errors.js'

/** How long the newest attempt may go on before the next address is tried beside it: what the RFC recommends. */
const NEXT_ADDRESS_MS = 250

/** One attempt to connect. It reports to the race by `reached`, `succeeded` and `failed`. */
export interface Contender {
  readonly host: string
  /** Introduces itself over the connection that it has reached. */
  greet(): void
  /** Ends it, whatever it does. Resolves when its slot is released. */
  abandon(): Promise<void>
}

/**
 * Chooses one of several addresses: the first that has a TCP connection. From then on no other one is tried, so that a server never
 * sees the same client twice; what that server answers is the answer.
 */
export class Race<C extends Contender> {
  readonly #running = new Set<C>()
  readonly #errors: ZerioError[] = []
  readonly #hosts: readonly string[]
  #next = 0
  #chosen: C | undefined
  #timer: NodeJS.Timeout | undefined
  #resolve: () => void = () => {}
  #reject: (error: ZerioError) => void = () => {}

  /**
   * @param name what the addresses belong to, for the error.
   * @param hosts at least one numeric address.
   * @param open begins an attempt, or throws the system's error.
   * @param late makes the error of an address that has not answered when the time is over.
   */
  constructor(
    readonly name: string,
    hosts: readonly string[],
    readonly open: (host: string) => C,
    readonly late: (host: string) => ZerioError
  ) {
    this.#hosts = interleave(hosts)
  }

  /** The attempts under way. */
  get contenders(): Iterable<C> {
    return this.#running
  }

  /** Resolves when a server has taken the client. Rejects with the server's refusal, or with the errors of all addresses. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#tryNext()
    })
  }

  /** Abandons every attempt. Resolves when their slots are released; what `run` returned stays as it is. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#next = this.#hosts.length
    const abandoned = [...this.#running].map((one) => one.abandon())
    this.#running.clear()
    await Promise.all(abandoned)
  }

  /** This attempt has a TCP connection. */
  reached(contender: C): void {
    if (!this.#running.delete(contender)) return
    void this.stop()
    this.#running.add(contender)
    this.#chosen = contender
    contender.greet()
  }

  /** The server has taken the client. */
  succeeded(contender: C): void {
    if (!this.#running.delete(contender)) return
    void this.stop()
    this.#resolve()
  }

  /** `failure` says who is responsible: this address alone, the time limit of all, or a server whose answer counts. */
  failed(contender: C, error: ZerioError, failure: 'address' | 'timeout' | 'answer'): void {
    if (!this.#running.delete(contender)) return
    if (failure === 'answer' || contender === this.#chosen) {
      void this.stop()
      this.#reject(error)
      return
    }
    this.#errors.push(error)
    if (failure === 'timeout') this.#timeIsOver()
    else this.#tryNext()
  }

  #tryNext(): void {
    clearTimeout(this.#timer)
    let begun = false
    while (!begun && this.#next < this.#hosts.length) {
      try {
        this.#running.add(this.open(this.#hosts[this.#next++]))
        begun = true
      } catch (error) {
        this.#errors.push(error as ZerioError)
      }
    }
    if (this.#running.size === 0) this.#reject(this.#errorOfAll())
    else if (this.#next < this.#hosts.length) this.#timer = setTimeout(() => this.#tryNext(), NEXT_ADDRESS_MS)
  }

  #timeIsOver(): void {
    for (const { host } of this.#running) this.#errors.push(this.late(host))
    void this.stop()
    this.#reject(this.#errorOfAll())
  }

  #errorOfAll(): ZerioError {
    const errors = this.#errors
    if (errors.length === 1) return errors[0]
    const place = ({ address }: ZerioError): number => this.#hosts.indexOf(address ?? '')
    errors.sort((one, other) => place(one) - place(other))
    const first = errors.reduce((best, one) => (rank(one) < rank(best) ? one : best))
    const others = errors.filter((one) => one !== first).map((one) => `${one.address} ${one.code}`)
    const { syscall, address, port } = first
    return new ZerioError(
      first.code,
      `${first.message} The other addresses of '${this.name}' failed, too: ${others.join(', ')}.`,
      { syscall, address, port, errors }
    )
  }
}

/** The families in turn, beginning with that of the first address. */
export function interleave(hosts: readonly string[]): string[] {
  const isFirst = (host: string): boolean => host.includes(':') === hosts[0].includes(':')
  const families = [hosts.filter(isFirst), hosts.filter((host) => !isFirst(host))]
  const result: string[] = []
  for (let i = 0; result.length < hosts.length; i++) {
    for (const family of families) if (i < family.length) result.push(family[i])
  }
  return result
}

/** What says most about why nothing worked: first what this machine lacks for any address, last what one address alone lacks. */
const telling = [
  'ZERIO_OUT_OF_MEMORY',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOBUFS',
  'EPERM',
  'EACCES',
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'ZERIO_CONNECT_TIMEOUT',
  'EHOSTUNREACH',
  'ENETUNREACH'
]

function rank({ code, address }: ZerioError): number {
  // Of an IPv6 address it mostly means a machine without IPv6, of an IPv4 address one without free ports.
  if (code === 'EADDRNOTAVAIL' && !address?.includes(':')) return -1
  const place = telling.indexOf(code)
  return place < 0 ? telling.length : place
}
