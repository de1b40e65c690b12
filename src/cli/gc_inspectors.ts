// Finds the inspector of a process that runs already, and opens it where it is closed.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { UsageError } from './flags.js'
import { inspectorUrls } from './inspector_socket.js'

export interface FoundInspector {
  url: string
  /** It was closed before, so that it should be closed afterwards. */
  wasOpened: boolean
}

const defaultPort = 9229
const openLimitMs = 5000
const lookEveryMs = 50
/** The state of a socket that waits for connections, as the system's tables have it. */
const listening = '0A'

/** `target` is a process id, or the HOST:PORT of an inspector. Throws a {@link UsageError} that says what to do. */
export async function findInspector(target: string): Promise<FoundInspector> {
  if (/^\d+$/.test(target)) return inspectorOfProcess(Number(target))
  const [, host, port] = /^(.*):(\d+)$/.exec(target) ?? []
  if (host === undefined) {
    throw new UsageError(`--attach needs a process id, or HOST:PORT of an inspector, not '${target}'`)
  }
  return { url: await urlAt(host.replace(/^\[|\]$/g, '') || '127.0.0.1', Number(port)), wasOpened: false }
}

async function urlAt(host: string, port: number): Promise<string> {
  const urls = await inspectorUrls(host, port).catch((error: Error) => {
    throw new UsageError(
      `no inspector answers at ${host}:${port} (${error.message}); start the program with node --inspect`
    )
  })
  if (urls.length === 0) throw new UsageError(`the inspector at ${host}:${port} has no program`)
  return urls[0]
}

async function inspectorOfProcess(pid: number): Promise<FoundInspector> {
  if (process.platform !== 'linux') {
    throw new UsageError(
      '--attach finds processes on Linux only; start the program with node --inspect, and give HOST:PORT'
    )
  }
  const before = listeningPorts(pid)
  // Node.js opens its inspector then, and does nothing when it is open.
  process.kill(pid, 'SIGUSR1')
  for (let waitedMs = 0; waitedMs < openLimitMs; waitedMs += lookEveryMs) {
    await pause(lookEveryMs)
    const opened = listeningPorts(pid).filter((port) => !before.includes(port))
    for (const port of opened) {
      const urls = await inspectorUrls('127.0.0.1', port).catch(() => [])
      if (urls.length > 0) return { url: urls[0], wasOpened: true }
    }
    if (before.includes(defaultPort)) return { url: await urlAt('127.0.0.1', defaultPort), wasOpened: false }
  }
  throw new UsageError(
    `process ${pid} has not opened its inspector; start the program with node --inspect, and give HOST:PORT`
  )
}

/** Throws a {@link UsageError} for a process that is no Node.js: the signal would end it. */
function listeningPorts(pid: number): number[] {
  try {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
    if (((BigInt(`0x${caught}`) >> BigInt(constants.signals.SIGUSR1 - 1)) & 1n) === 0n) {
      throw new UsageError(`process ${pid} is no Node.js process, or runs with --disable-sigusr1`)
    }
    const sockets = new Set<string>()
    for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`))?.[1]
      if (inode !== undefined) sockets.add(inode)
    }
    return ['tcp', 'tcp6'].flatMap((table) => portsIn(`/proc/${pid}/net/${table}`, sockets))
  } catch (error) {
    if (error instanceof UsageError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw new UsageError(
      code === 'ENOENT'
        ? `there is no process ${pid}`
        : `process ${pid} cannot be read (${message}); is it another user's?`
    )
  }
}

/** Of those sockets that wait for connections. */
function portsIn(table: string, inodes: ReadonlySet<string>): number[] {
  const rows = textOf(table).split('\n').slice(1)
  return rows.flatMap((row) => {
    const [, local, , state, , , , , , inode] = row.trim().split(/\s+/)
    return state === listening && inodes.has(inode) ? [Number.parseInt(local.split(':')[1], 16)] : []
  })
}

/** A system without IPv6 has no table of it. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** A descriptor may be closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
