// What the two sides of `zerio bench` tell each other. The connecting side leads.
import type { GcReportData } from '../gc/report.js'

/** The channels of the connection; `const` for the reason that docs/architecture.md gives. */
export const enum Channel {
  /** Comes back as it is. */
  Echo,
  /** Is counted. */
  Flow,
  /** A {@link Request} or an {@link Answer} as JSON. */
  Control
}

export const phaseNames = ['roundTrip', 'send', 'claim'] as const
export type PhaseName = (typeof phaseNames)[number]

/** Longest message of a benchmark: what an engine with default options takes. */
export const messageBytesMax = 65_536
const requestBytesMax = 100

export interface Request {
  kind: 'begin' | 'end'
}

export type Answer =
  | { kind: 'began'; wait: string; node: string }
  /** `received` and `elapsedMs` are of the messages on `Flow`. */
  | { kind: 'ended'; received: number; elapsedMs: number; garbage: GcReportData }

export function encode(message: Request | Answer): Buffer {
  return Buffer.from(JSON.stringify(message))
}

/** Undefined for what is no request; whoever connects may send anything. */
export function decodeRequest(buffer: Buffer, offset: number, length: number): Request | undefined {
  if (length > requestBytesMax) return undefined
  const message = decode(buffer, offset, length) as Request | null | undefined
  return message?.kind === 'begin' || message?.kind === 'end' ? message : undefined
}

/** Undefined for what is no answer. */
export function decodeAnswer(buffer: Buffer, offset: number, length: number): Answer | undefined {
  const message = decode(buffer, offset, length) as Answer | null | undefined
  return message?.kind === 'began' || message?.kind === 'ended' ? message : undefined
}

function decode(buffer: Buffer, offset: number, length: number): unknown {
  try {
    return JSON.parse(buffer.toString('utf8', offset, offset + length))
  } catch {
    return undefined
  }
}
