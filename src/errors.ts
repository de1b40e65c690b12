// ZerioError, its codes, and the sentence of each.
import { getSystemErrorName } from 'node:util'
import { NativeError } from './engine/layout.js'

/** Codes of mistakes in the program. Each is thrown, or rejects the promise, at the call that makes the mistake. */
export type MisuseCode =
  | 'ZERIO_BAD_OPTION'
  | 'ZERIO_BAD_ARGUMENT'
  | 'ZERIO_BAD_PEER_ID'
  | 'ZERIO_ALREADY_STARTED'
  | 'ZERIO_STOPPING'
  | 'ZERIO_CLAIM_OPEN'
  | 'ZERIO_NO_CLAIM'
  | 'ZERIO_POLL_IN_HANDLER'
  | 'ZERIO_NOT_STARTED'
  | 'ZERIO_HALF_CLOSE_IN_SESSION'
  | 'ZERIO_TOPIC_CLOSED'
  | 'ZERIO_WRONG_TOPIC'
  | 'ZERIO_FOREIGN_PEER'

/** Codes of what can happen to a correct program. */
export type FateCode =
  | 'ZERIO_BACKEND_UNAVAILABLE'
  | 'ZERIO_OUT_OF_MEMORY'
  | 'ZERIO_STOPPED'
  | 'ZERIO_BAD_LOOKUP'
  | 'ABORT_ERR'
  | 'ZERIO_CONNECT_TIMEOUT'
  | 'ZERIO_NOT_CONNECTED'
  | 'ZERIO_PING_TIMEOUT'
  | 'ZERIO_PING_UNSUPPORTED'
  | 'ZERIO_SUBSCRIBE_UNSUPPORTED'
  | 'ZERIO_HANDSHAKE_FAILED'
  | 'ZERIO_TOO_MANY_SERVERS'
  | 'ZERIO_AUTHENTICATE_FAILED'
  | 'ZERIO_ADDRESS_UNSUPPORTED'
  | 'ZERIO_NO_BINARY'
  | 'ZERIO_ADDONS_FORBIDDEN'
  | 'ZERIO_TOO_MUCH_GARBAGE'

/** Where a system error happened, named as in Node's own errors. */
export interface ErrorDetails {
  syscall?: string | undefined
  address?: string | undefined
  port?: number | undefined
  cause?: unknown
  /** What became of each address of a host name, when several were tried. */
  errors?: readonly ZerioError[] | undefined
  /** How many errors of this code it stands for. */
  count?: number | undefined
}

/**
 * Every error that zerio throws, rejects with or emits.
 *
 * `code` is stable: a `ZERIO_…` code for what zerio itself finds (docs/behaviour.md lists them all), the system's own name
 * (`EADDRINUSE`, `ECONNREFUSED`, `EMFILE`, `ENOTFOUND`, …) for what the machine reports, and the name of a close code for a
 * server's refusal (`ZERIO_DUPLICATE_PEER_ID`, …). The message says what to do.
 */
export class ZerioError extends Error {
  /** A stable name for programs; see the class. */
  readonly code: string
  /** The system call that failed, such as `connect` or `listen`, where there was one. */
  readonly syscall?: string
  /** The numeric address, the host name, or the path, that it was about. */
  readonly address?: string
  /** The port that it was about. */
  readonly port?: number
  /** One error for each address that a client tried, when there were several. */
  readonly errors?: readonly ZerioError[]
  /** Of a server's `error` events: how many errors of this code this one stands for. Undefined elsewhere. */
  readonly count?: number

  /**
   * @param code a stable name.
   * @param message a sentence that says what happened and what to do.
   */
  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'ZerioError'
    this.code = code
    if (details.syscall !== undefined) this.syscall = details.syscall
    if (details.address !== undefined) this.address = details.address
    if (details.port !== undefined) this.port = details.port
    if (details.errors !== undefined) this.errors = details.errors
    if (details.count !== undefined) this.count = details.count
  }
}

/** The error for a mistake of the program. */
export function misuse(code: MisuseCode, message: string): ZerioError {
  return new ZerioError(code, message)
}

/** The error for the end of one direction of a session, which needs both. */
export function halfCloseInSession(): ZerioError {
  return misuse(
    'ZERIO_HALF_CLOSE_IN_SESSION',
    'A session needs both directions, for what they acknowledge: close() or stop() ends it; end() is for connections without one.'
  )
}

const NO_LOCAL_PORT =
  'no local port is free for one more connection to this address; close some, or widen the range (Linux: sysctl net.ipv4.ip_local_port_range)'
const NO_ROUTE = 'check the network connection, and for an IPv6 address whether this machine has IPv6'

/** What a code of the system means, and what to do: for the call that met it, or else for every call. */
const advice: Readonly<Record<string, string>> = {
  'connect EACCES':
    'this process has no permission for the connection: a firewall, a route of the kind "prohibit" or a security module of this machine forbids it; change its rules',
  'connect EADDRINUSE': NO_LOCAL_PORT,
  'connect EADDRNOTAVAIL': NO_LOCAL_PORT,
  'connect EADDRNOTAVAIL IPv6': `${NO_LOCAL_PORT}; or this machine has no IPv6 address`,
  'connect EAGAIN': NO_LOCAL_PORT,
  'connect EAFNOSUPPORT': 'this machine does not speak this kind of address; use one of the other kind',
  'connect EINVAL':
    'no connection can be made to this address; a link-local one needs its interface (fe80::1%eth0)',
  'connect ENOBUFS':
    'the system is out of socket memory or of free local ports; close some connections, or widen the range of ports',
  'connect EPERM': 'a firewall rule or a security policy of this machine forbids the connection; change it',
  'connect EACCES path':
    'this process may not write to the socket or not enter its directory; change their permissions, or the umask of the server',
  'connect EAGAIN path':
    "the server's listen queue is full; try again, or raise the option backlog of the server",
  'connect ECONNREFUSED path': 'no program listens there; start the server first and check the path',
  'connect ENOENT path': 'nothing is there; start the server first and check the path',
  'connect ENOTDIR path': 'a part of the path is no directory; check the path',
  'connect EPROTOTYPE path': 'a socket of another kind is there; check the path',
  'listen EACCES path':
    'this process may not make or replace a file there; change the permissions of the directory, or choose another path',
  'listen EADDRINUSE path': 'another program listens on this path; choose another one, or end that program',
  'listen ENOENT path': 'there is no such directory; make it first, or choose another path',
  'listen ENOTDIR path': 'a part of the path is no directory; choose another path',
  'listen ENOTSOCK path':
    'a file is there that is no socket, and zerio removes none; remove it, or choose another path',
  'listen EOPNOTSUPP path': 'this file system has no sockets; choose a path on another one',
  'listen EPERM path':
    'this process may not replace the file there, or the file system has no sockets; choose another path',
  'listen EROFS path': 'this file system is read-only; choose a path on another one',
  'listen EAFNOSUPPORT descriptor':
    'this socket is of a family that zerio does not know; pass one of TCP or of a Unix domain',
  'listen EBADF descriptor':
    'it is not open in this process; check its number, and that the parent passes it on (stdio)',
  'listen EEXIST descriptor':
    'another server of this process has it already; pass each descriptor to one server',
  'listen EINVAL descriptor':
    'this socket does not listen, or has no streams; pass one of SOCK_STREAM for which listen() was called',
  'listen ENOTSOCK descriptor': 'this descriptor is no socket; check its number',
  'listen EACCES': 'a security policy of this machine forbids this port; choose another one',
  'listen EACCES below 1024': 'this port needs privileges; choose one above 1023',
  'listen EADDRINUSE':
    'another socket has this address; choose another port, 0 for any free one, or give all servers that share it the option reusePort',
  'listen EADDRINUSE worker':
    "another socket has this address, probably another worker's, because zerio does not take its port from the primary process; set the option reusePort in every worker",
  'listen EADDRNOTAVAIL':
    'this machine does not have the address; choose one of its own, or none for all of them',
  'listen EAFNOSUPPORT': 'this machine does not speak this kind of address; use one of the other kind',
  'listen EINVAL':
    'no server can listen on this address; a link-local one needs its interface (fe80::1%eth0)',
  'listen EPERM': 'a security policy of this machine forbids to listen; change it',
  ECONNREFUSED: 'no program listens there; start the server first and check host and port',
  ECONNRESET: 'the other side, or a machine on the way, broke the connection',
  EHOSTUNREACH: `no route leads to this host; ${NO_ROUTE}`,
  ENETDOWN: `the network is down; ${NO_ROUTE}`,
  ENETUNREACH: `no route leads to this network; ${NO_ROUTE}`,
  ETIMEDOUT: 'the host does not answer; check the address, and firewalls on the way',
  EACCES: 'a security policy of this machine forbids it; change it',
  EPERM: 'a security policy of this machine forbids it (seccomp, in containers); change it',
  ENOSYS: 'the kernel lacks this call, or a seccomp profile hides it',
  EMFILE: 'the process is out of file descriptors; raise its limit (ulimit -n) or close some',
  ENFILE: 'the system is out of file descriptors; close some, or raise its limit (Linux: sysctl fs.file-max)',
  ENOSPC:
    'the user has as many descriptors in epoll sets as may be (sysctl fs.epoll.max_user_watches); raise it',
  ENOBUFS: 'the system is out of socket memory; close some connections',
  ENOMEM: 'the system is out of memory; raise the limit of the container or free some',
  ZERIO_OUT_OF_MEMORY:
    'the process is out of memory; raise its limits (ulimit -v, the container) or free some'
}

/** Asked only when something went wrong: the module takes longer to load than all of zerio. */
function isClusterWorker(): boolean {
  return (require('node:cluster') as import('node:cluster').Cluster).isWorker
}

/** What to look for in `advice`, the most special first. */
function* situations(code: string, { syscall, address, port }: ErrorDetails): Generator<string> {
  const call = `${syscall} ${code}`
  if (port === undefined) yield `${call} ${address === undefined ? 'descriptor' : 'path'}`
  if (syscall === 'connect' && address?.includes(':')) yield `${call} IPv6`
  if (syscall === 'listen' && isClusterWorker()) yield `${call} worker`
  if (syscall === 'listen' && port !== undefined && port > 0 && port < 1024) yield `${call} below 1024`
  yield call
  yield code
}

function adviceFor(code: string, details: ErrorDetails): string | undefined {
  for (const situation of situations(code, details)) {
    if (advice[situation] !== undefined) return advice[situation]
  }
  return undefined
}

/** An error from the system. `errno` is the positive number; `what` is the attempt, as in "Cannot listen on …". */
export function systemError(errno: number, what: string, details: ErrorDetails, known?: string): ZerioError {
  const code = systemErrorName(errno)
  const meaning = known ?? adviceFor(code, details)
  return new ZerioError(code, `${what}: ${code}${meaning ? `, ${meaning}` : ''}.`, details)
}

/** The name of a positive error number of the system, or of the engine's own. */
export function systemErrorName(errno: number): string {
  if (errno === NativeError.OutOfMemory) return 'ZERIO_OUT_OF_MEMORY'
  try {
    const name = getSystemErrorName(-errno)
    // Numbers that libuv has no name for are not in its table.
    return /^E[A-Z0-9]+$/.test(name) ? name : `ERRNO_${errno}`
  } catch {
    return `ERRNO_${errno}`
  }
}

// What a terminal, a log or a browser would act on instead of printing it.
const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu

/** Text of others in one line: a space stands for control characters, line separators and bidirectional controls. */
export function printableText(text: string): string {
  return text.replace(obeyed, ' ')
}
