// Host names to numeric addresses.
import dns, { type LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { ZerioError } from '../errors.js'
import { isNumericHost } from '../options/address.js'
import { describe } from '../options/options.js'

export type { LookupFunction } from 'node:net'

/**
 * All addresses of a host, in the order of the system or of the program's own `lookup`, each once. Rejects with the resolver's code
 * (`ENOTFOUND`, `EAI_AGAIN`, …). The system's function is taken from its module at each call, so that a program can put another one
 * there.
 */
export async function lookupAll(host: string, lookup: LookupFunction | undefined): Promise<string[]> {
  let found: readonly LookupAddress[]
  try {
    found = await (lookup === undefined
      ? dns.promises.lookup(host, { all: true, verbatim: true })
      : ask(lookup, host))
  } catch (cause) {
    throw cause instanceof ZerioError ? cause : failed(host, codeOf(cause), cause)
  }
  const addresses = addressesOf(host, found)
  if (addresses.length === 0) throw failed(host, 'ENOTFOUND')
  for (const address of addresses) {
    if (typeof address !== 'string' || !isNumericHost(address))
      throw badLookup(host, `must answer with numeric addresses, not ${describe(address)}`)
  }
  return [...new Set(addresses as string[])]
}

/** Calls a function of the program's as node:net does with `autoSelectFamily`. It may answer with one address nevertheless. */
function ask(lookup: LookupFunction, host: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    try {
      const returned: unknown = lookup(host, { all: true, verbatim: true }, (error, answer, family) => {
        if (error) reject(error)
        else if (Array.isArray(answer)) resolve(answer)
        else resolve([{ address: answer, family: family ?? 0 }])
      })
      // An async function may call its callback later. What it resolves with, as dns.promises.lookup does, or rejects with is not for it.
      const byPromise = (cause?: unknown) =>
        reject(badLookup(host, 'must answer by its callback and not by a promise', cause))
      if (isThenable(returned))
        returned.then((value: unknown) => value !== undefined && byPromise(), byPromise)
    } catch (cause) {
      reject(badLookup(host, 'must answer by its callback and not throw', cause))
    }
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

function addressesOf(host: string, found: readonly LookupAddress[]): unknown[] {
  try {
    return Array.from(found, (one) => one?.address)
  } catch (cause) {
    throw badLookup(host, 'must answer with addresses that can be read', cause)
  }
}

function badLookup(host: string, rule: string, cause?: unknown): ZerioError {
  const text = `The option "lookup" ${rule} (it was asked for '${host}').`
  return new ZerioError('ZERIO_BAD_LOOKUP', text, { address: host, cause })
}

function codeOf(error: unknown): string {
  const code: unknown = (error as NodeJS.ErrnoException | null | undefined)?.code
  return typeof code === 'string' ? code : 'ENOTFOUND'
}

function failed(host: string, code: string, cause?: unknown): ZerioError {
  return new ZerioError(
    code,
    `Cannot resolve the host name '${host}': ${code}; ${advice[code] ?? advice.other}.`,
    {
      syscall: 'getaddrinfo',
      address: host,
      cause
    }
  )
}

const advice = {
  EAI_AGAIN: 'no name server answers; check the network connection and the name servers, and try again',
  EMFILE: 'the process is out of file descriptors; raise its limit (ulimit -n) or close some',
  other: 'check the name'
} as Record<string, string>
