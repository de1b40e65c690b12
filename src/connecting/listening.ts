// Where one server listens: what it asks the engine for, and the errors when that is refused.
import { NativeError } from '../engine/layout.js'
import type { ListenRequest, NativeEngine } from '../engine/native.js'
import { systemError, ZerioError } from '../errors.js'
import {
  type CheckedAddress,
  hostOfPath,
  type ListeningAddress,
  pathOfHost,
  placeDetails,
  placeText
} from '../options/address.js'

/** An address of a server, and the hosts on one of which it listens there, as the engine takes them. */
export interface Target {
  readonly address: CheckedAddress
  readonly hosts: readonly string[]
}

/** What all addresses of a server ask the engine for. */
export type ListenSettings = Omit<ListenRequest, 'host' | 'port' | 'fd' | 'server'>

/** `lookup` is asked for the hosts of a name. */
export async function targetsOf(
  addresses: readonly CheckedAddress[],
  lookup: (name: string) => Promise<readonly string[]>
): Promise<readonly Target[]> {
  const targets: Target[] = []
  for (const address of addresses) targets.push({ address, hosts: await hostsOf(address, lookup) })
  return targets
}

/**
 * Listens on all targets with one server of the engine, or on none. Returns the server's number, and where it listens, in the order of
 * the targets. Throws the error of the first that is refused. Calls `onAdopted` when a descriptor is the engine's, which closes it.
 */
export function listenOnAll(
  native: NativeEngine,
  settings: ListenSettings,
  targets: readonly Target[],
  onAdopted: () => void
): { server: number; listening: readonly ListeningAddress[] } {
  const listening: ListeningAddress[] = []
  let server: number | undefined
  // What is refused shall leave the descriptors to the program, so they are adopted last.
  const isDescriptor = (place: number): boolean => targets[place].address.kind === 'descriptor'
  const places = [...targets.keys()].sort(
    (one, other) => Number(isDescriptor(one)) - Number(isDescriptor(other))
  )
  try {
    for (const place of places) {
      const { address } = targets[place]
      const made = listenOn(native, { ...settings, server }, targets[place])
      server = made.server
      if (address.kind === 'descriptor') onAdopted()
      listening[place] = listeningOf(address, made.host, made.port)
    }
  } catch (error) {
    if (server !== undefined) {
      native.unlisten(server)
      native.forgetServer(server)
    }
    throw error
  }
  return { server: server as number, listening }
}

function listenOn(
  native: NativeEngine,
  settings: ListenSettings & { server: number | undefined },
  { address, hosts }: Target
): { server: number; host: string; port: number } {
  const port = address.kind === 'port' ? address.port : 0
  const fd = address.kind === 'descriptor' ? address.fd : undefined
  for (const host of hosts) {
    const result = native.listen({ ...settings, host, port, fd })
    if (result.errno === 0) return result
    const error = listenError(result.errno, address, host)
    // Without IPv6 a server without a host listens on IPv4 alone.
    const isWithoutIpv6 = error.code === 'EAFNOSUPPORT' || error.code === 'EADDRNOTAVAIL'
    if (!(host === '::' && hosts.length > 1 && isWithoutIpv6)) throw error
  }
  throw new Error('An address has at least one host.')
}

/** What the engine says of where it listens. */
function listeningOf(address: CheckedAddress, host: string, port: number): ListeningAddress {
  const path = pathOfHost(host)
  if (path === undefined) return Object.freeze({ host, port, path: '' })
  return Object.freeze({ host: '', port: 0, path: address.kind === 'path' ? address.path : path })
}

async function hostsOf(
  address: CheckedAddress,
  lookup: (name: string) => Promise<readonly string[]>
): Promise<readonly string[]> {
  if (address.kind === 'path') return [hostOfPath(address.path)]
  if (address.kind === 'descriptor') return ['']
  if (address.host === undefined) return ['::', '0.0.0.0']
  return (await lookup(address.host)).slice(0, 1)
}

/** Why the engine does not listen there. `errno` is positive. */
function listenError(errno: number, address: CheckedAddress, host: string): ZerioError {
  if (errno === NativeError.TooManyServers) {
    return new ZerioError(
      'ZERIO_TOO_MANY_SERVERS',
      'An engine has at most 64 servers; stop some, or use more threads.'
    )
  }
  if (address.kind === 'descriptor')
    return systemError(errno, `Cannot listen on the descriptor ${address.fd}`, { syscall: 'listen' })
  const port = address.kind === 'port' ? address.port : 0
  return systemError(errno, `Cannot listen on ${placeText(host, port)}`, {
    syscall: 'listen',
    ...placeDetails(host, port)
  })
}

/** A server's second start on a descriptor, which its first one has closed. */
export function descriptorIsClosed(fd: number): ZerioError {
  return new ZerioError(
    'EBADF',
    `Cannot listen on the descriptor ${fd} again: EBADF, this server has closed it when it stopped; make a new server for a new descriptor.`,
    { syscall: 'listen' }
  )
}
