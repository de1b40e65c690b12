// Which of the package's binaries is for this process: platform, architecture and, on Linux, C library.
import { existsSync } from 'node:fs'

/** What the package has binaries for: `prebuilds/<target>/zerio.node`. Without `-musl` those of Linux are for glibc. */
export const targets: readonly string[] = [
  'linux-x64',
  'linux-arm64',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64',
  'win32-arm64'
]

/** The target of this process, whether or not the package has a binary for it. */
export function thisTarget(): string {
  const machine = `${process.platform}-${process.arch}`
  return process.platform === 'linux' && hasMusl() ? `${machine}-musl` : machine
}

/** Whether Node.js runs with `--permission`. */
export function permissionModel(): boolean {
  return 'permission' in process && process.permission !== undefined
}

/** Whether the C library of this process is musl. */
export function hasMusl(): boolean {
  // A process with musl was started by this loader. Asking whether it is there is cheaper than a report, which takes 10 ms; with
  // --permission the answer may be "no" because this process may not know.
  const loader = `/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`
  return (permissionModel() || existsSync(loader)) && !hasGlibc()
}

interface ReportHeader {
  readonly header: { readonly glibcVersionRuntime?: string }
}

/** The report of a process names its glibc; with musl it names none. */
function hasGlibc(): boolean {
  const report = process.report as
    | (NodeJS.ProcessReport & { excludeNetwork?: boolean; getReport(): unknown })
    | undefined
  if (report === undefined) return true
  // Looking up the names of all sockets can take seconds.
  const { excludeNetwork } = report
  report.excludeNetwork = true
  try {
    return (report.getReport() as ReportHeader).header.glibcVersionRuntime !== undefined
  } catch {
    return true
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}
