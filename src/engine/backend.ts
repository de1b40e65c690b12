// Which system interface does the I/O of an engine, and why.
import { systemError, systemErrorName, ZerioError } from '../errors.js'
import type { Backend } from '../options/options.js'
import { variable } from './environment.js'
import { native } from './native.js'

/** A backend of this build, and the sentence that says why it was chosen. */
export interface Choice {
  readonly backend: string
  readonly reason: string
}

/** Sets the backend of all engines that do not ask for one by name: for operators, and to run the tests on each. */
const VARIABLE = 'ZERIO_BACKEND'

const causes: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  io_uring: {
    EPERM:
      'it is forbidden here: by a seccomp profile (the default in Docker, containerd and Kubernetes) or by the sysctl kernel.io_uring_disabled',
    EACCES: 'it is forbidden here, probably by a security module',
    ENOSYS: 'the kernel has no io_uring, or a seccomp profile hides it',
    EINVAL: 'the kernel is older than 5.19',
    ENOMEM: 'the limit of locked memory (ulimit -l) or of the control group is too low'
  },
  rio: { ENOTSUP: 'this system has no Registered I/O' }
}
/** To be short of descriptors or memory passes, and is the error of the attempt that meets it. */
const passing = ['EMFILE', 'ENFILE', 'ZERIO_OUT_OF_MEMORY']
const always = ['epoll', 'kqueue', 'winsock']

/** Why a backend comes first where it can be used. */
const preferred: Readonly<Record<string, string>> = {
  epoll:
    'measured as fast as io_uring but for fan-out, and works everywhere; io_uring can be asked for by name where it is allowed',
  kqueue: 'works on every macOS and FreeBSD',
  rio: 'the system has Registered I/O',
  winsock: 'works on every Windows'
}

const refusals = new Map<string, string>()

/** Why the system refuses a backend; undefined when it does not. Asked once in a process. */
function refusalOf(backend: string): string | undefined {
  let refusal = refusals.get(backend)
  if (refusal === undefined) {
    const errno = native.probeBackend(backend)
    const code = errno === 0 ? '' : systemErrorName(errno)
    // These are always there: what they lack for a moment is memory.
    if (passing.includes(code) || always.includes(backend)) return undefined
    refusal =
      code === '' ? '' : `the system refuses it with ${code}: ${causes[backend]?.[code] ?? 'no common cause'}`
    refusals.set(backend, refusal)
  }
  return refusal === '' ? undefined : refusal
}

/** The call with which an engine begins, which is what the system refuses when it refuses an engine. */
const firstCalls: Readonly<Record<string, string>> = {
  epoll: 'epoll_create1',
  io_uring: 'io_uring_setup',
  kqueue: 'kqueue',
  rio: 'RIOCreateCompletionQueue',
  winsock: 'CreateIoCompletionPort'
}

/** The error of an engine that the system refused to this backend. */
export function engineError(errno: number, backend: string): ZerioError {
  const known = causes[backend]?.[systemErrorName(errno)]
  return systemError(
    errno,
    `Cannot make an engine with the backend '${backend}'`,
    { syscall: firstCalls[backend] },
    known
  )
}

function named(backend: string, reason: string): Choice {
  if (!native.backends.includes(backend)) {
    throw new ZerioError(
      'ZERIO_BACKEND_UNAVAILABLE',
      `The backend '${backend}' is not available in this build on ${process.platform}; use 'auto' or ${native.backends.map((name) => `'${name}'`).join(' or ')}.`
    )
  }
  const refusal = refusalOf(backend)
  if (refusal !== undefined) {
    throw new ZerioError(
      'ZERIO_BACKEND_UNAVAILABLE',
      `The backend '${backend}' cannot be used: ${refusal}. Use 'auto', which takes the next best.`
    )
  }
  return { backend, reason }
}

/** The backend for an engine. Throws `ZERIO_BACKEND_UNAVAILABLE` for one asked for by name that is not there. */
export function chooseBackend(wanted: Backend): Choice {
  if (wanted !== 'auto') return named(wanted, 'asked for by name')
  const chosen = variable(VARIABLE)
  if (chosen !== undefined && chosen !== '' && chosen !== 'auto') {
    return named(chosen, `asked for by the environment variable ${VARIABLE}`)
  }
  const usable: string[] = []
  const refused: string[] = []
  for (const backend of native.backends) {
    const refusal = refusalOf(backend)
    if (refusal === undefined) usable.push(backend)
    else refused.push(`'${backend}' cannot be used: ${refusal}`)
  }
  // When all are refused, the last one says so with its own error when the engine is made.
  const backend = usable[0] ?? (native.backends.at(-1) as string)
  const why = preferred[backend] ?? 'the first that this system allows'
  return { backend, reason: [why, ...refused].join('; ') }
}
