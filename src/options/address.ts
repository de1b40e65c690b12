// Where servers listen and clients connect: what a program passes, and its check.
import { isIP } from 'node:net'
import { Layout } from '../engine/layout.js'
import { misuse, ZerioError } from '../errors.js'
import { describe, isObject, readProperties } from './given.js'

/** Where to listen or to connect: a port, or host and port. */
export interface Address {
  /** Host name or numeric address. A server's default is all addresses, IPv6 and IPv4; a client's is `'localhost'`. */
  host?: string | undefined
  /** 0 to 65,535. A server's 0 means any free port. */
  port: number
}

/** A Unix domain socket. Not on Windows. */
export interface PathAddress {
  /**
   * The path of the socket's file: 1 to 107 bytes on Linux, 103 on macOS and FreeBSD. A relative one is relative to the working
   * directory at `start`. On Linux a zero byte and a name stand for a name without a file, in the abstract namespace.
   */
  path: string
}

/** A socket that listens already, of TCP or of a Unix domain, as one inherited from a parent process. Not on Windows. */
export interface DescriptorAddress {
  /** Its number; 0 or more. From `start` on it is the server's, which closes it when it stops to listen. */
  fd: number
}

/** Where a server listens. */
export type ServerAddress = number | Address | PathAddress | DescriptorAddress

/** A place where a server listens. */
export interface ListeningAddress {
  /** The numeric address; empty for a Unix domain socket. */
  readonly host: string
  /** The port; 0 for a Unix domain socket. */
  readonly port: number
  /**
   * The path of a Unix domain socket, as it was given; empty for a port. That of a `fd` is as the system has it, with @ for the zero byte
   * of a name without a file.
   */
  readonly path: string
}

/** Where a client connects to. */
export type ClientAddress = number | Address | PathAddress

/** The address that a client's connections come from. */
export interface LocalAddress {
  /** A numeric address of this machine. */
  host: string
  /** 0 to 65,535; default 0: any free port. */
  port?: number | undefined
}

/** An address that was checked: a host and a port, a path, or a descriptor. */
export type CheckedAddress =
  | { readonly kind: 'port'; readonly host: string | undefined; readonly port: number }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'descriptor'; readonly fd: number }

/** What stands before a path where there can be numeric hosts, too. */
const PATH_PREFIX = 'unix:'

/** A path as a host of the engine. */
export function hostOfPath(path: string): string {
  return PATH_PREFIX + path
}

/** The path in a host of the engine; undefined when it is a numeric one. */
export function pathOfHost(host: string): string | undefined {
  return host.startsWith(PATH_PREFIX) ? host.slice(PATH_PREFIX.length) : undefined
}

/** A path in a sentence: an abstract name with @ for its zero byte, as other programs show it. */
export function pathText(path: string): string {
  return path.replace('\0', '@')
}

/** A numeric host and its port, or a path, in a sentence. */
export function placeText(host: string, port: number): string {
  const path = pathOfHost(host)
  return path === undefined ? `${host} port ${port}` : pathText(path)
}

/** A numeric host and its port, or a path, in the properties of an error. */
export function placeDetails(host: string, port: number): { address: string; port?: number } {
  const path = pathOfHost(host)
  return path === undefined ? { address: host, port } : { address: path }
}

const isPort = (port: unknown): port is number =>
  Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65535

/**
 * What a program has passed. Throws `ZERIO_BAD_ARGUMENT`, and `ZERIO_ADDRESS_UNSUPPORTED` for what this system does not have.
 *
 * @param names what it may have, in addition to host and port.
 */
export function checkAddress(given: unknown, who: string, names: readonly ('path' | 'fd')[]): CheckedAddress {
  const choices = ['a port', 'host and port', ...names].join(', ')
  const { host, port, path, fd } = isObject(given)
    ? readProperties(given, ['host', 'port', ...names], {
        code: 'ZERIO_BAD_ARGUMENT',
        notAnObject: (what) => `${who} needs one of ${choices}, not ${what}.`,
        unknown: (name) => `${who} takes ${choices}, and no "${name}".`
      })
    : ({ port: given } as Record<string, unknown>)
  // Of an entry of `listeningAddresses`, which has both.
  if (path === '' && host !== undefined && fd === undefined) return checkAddress({ host, port }, who, names)
  if (path !== undefined && host === '' && port === 0) return checkAddress({ path }, who, names)
  const kinds = Object.entries({ port: host ?? port, path, fd }).filter(([, value]) => value !== undefined)
  if (kinds.length > 1) {
    const several = kinds.map(([name]) => `"${name}"`).join(' and ')
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} takes one of ${choices}, and not ${several} together.`)
  }
  if (path !== undefined) return { kind: 'path', path: checkPath(path, who) }
  if (fd !== undefined) return { kind: 'descriptor', fd: checkDescriptor(fd, who) }
  if (!isPort(port))
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} needs a port from 0 to 65535, not ${describe(port)}.`)
  if (host !== undefined && (typeof host !== 'string' || host.length === 0 || host.length > 253))
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} needs a host name or address, not ${describe(host)}.`)
  if (host !== undefined && pathOfHost(host) !== undefined)
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} takes a path as { path }, not as the host ${describe(host)}.`)
  return { kind: 'port', host, port }
}

/** The addresses of a server: one, or an array of them. Throws as {@link checkAddress} does. */
export function checkServerAddresses(given: unknown): readonly CheckedAddress[] {
  const count = Array.isArray(given) ? given.length : 1
  if (count === 0 || count > Layout.ServerAddressesMax) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `A server needs 1 to ${Layout.ServerAddressesMax} addresses, not ${count}; use several servers for more.`
    )
  }
  const addresses: unknown[] = Array.isArray(given) ? [...given] : [given]
  const checked = addresses.map((address) => checkAddress(address, 'A server', ['path', 'fd']))
  const descriptors = checked.flatMap((one) => (one.kind === 'descriptor' ? [one.fd] : []))
  if (new Set(descriptors).size < descriptors.length)
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      'A server takes each descriptor once; two of its addresses have the same fd.'
    )
  return checked
}

/** The systems have 108 or 104 bytes, the last of which is zero. */
const PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103

function checkPath(path: unknown, who: string): string {
  if (typeof path !== 'string' || path.length === 0)
    throw misuse('ZERIO_BAD_ARGUMENT', `${who} needs a path, not ${describe(path)}.`)
  checkSystem('Unix domain sockets; give host and port instead')
  const isAbstract = path.startsWith('\0')
  if (isAbstract && process.platform !== 'linux')
    throw unsupported('names without a file, which Linux alone has; give the path of a file')
  if (path.includes('\0', 1) || path === '\0')
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `${who} needs a path without zero bytes; only the first may be one, before a name of Linux' abstract namespace.`
    )
  const bytes = Buffer.byteLength(path)
  if (bytes > PATH_BYTES_MAX) {
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `${who} needs a path of at most ${PATH_BYTES_MAX} bytes, not ${bytes}; choose a shorter one, or one relative to the working directory.`
    )
  }
  return path
}

function checkDescriptor(fd: unknown, who: string): number {
  if (!Number.isInteger(fd) || (fd as number) < 0 || (fd as number) > 0x7fffffff)
    throw misuse(
      'ZERIO_BAD_ARGUMENT',
      `${who} needs a descriptor, an integer from 0 on, not ${describe(fd)}.`
    )
  checkSystem('descriptors of sockets; give host and port instead')
  return fd as number
}

function checkSystem(what: string): void {
  if (process.platform === 'win32') throw unsupported(what)
}

function unsupported(what: string): ZerioError {
  return new ZerioError('ZERIO_ADDRESS_UNSUPPORTED', `On this system zerio has no ${what}.`)
}

/** The option `localAddress`, with its port. Throws `ZERIO_BAD_OPTION`. */
export function checkLocalAddress(given: unknown): Required<LocalAddress> {
  const { host, port = 0 } = readProperties(given, ['host', 'port'], {
    code: 'ZERIO_BAD_OPTION',
    notAnObject: (what) => `Option "localAddress" must be an object with a host, not ${what}.`,
    unknown: (name) => `Option "localAddress" takes host and port, and no "${name}".`
  })
  if (typeof host !== 'string' || !isNumericHost(host))
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "localAddress.host" must be a numeric address of this machine, not ${describe(host)}.`
    )
  if (!isPort(port))
    throw misuse(
      'ZERIO_BAD_OPTION',
      `Option "localAddress.port" must be an integer from 0 to 65535, not ${describe(port)}.`
    )
  return { host, port }
}

/** Whether it is an address and no name. */
export function isNumericHost(host: string): boolean {
  return familyOf(host) !== 0
}

/** 4 or 6, or 0 for what is no numeric address. */
export function familyOf(host: string): number {
  return isIP(host.split('%', 1)[0])
}
