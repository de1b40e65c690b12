// The command line: what each flag means, its limits and its default.

import { parseArgs } from 'node:util'

export const waitStrategies = ['blocking', 'spin', 'hybrid', 'manual'] as const
export type WaitStrategy = (typeof waitStrategies)[number]

export interface Flags {
  seconds: number
  clients: number
  ticksPerSecond: number
  ordersPerSecond: number
  wait: WaitStrategy
  port: number
}

interface NumberFlag {
  default: number
  min: number
  max: number
  help: string
}

/** Seconds times ticks stays below 2^31, so sequence numbers stay small integers. */
const numberFlags = {
  seconds: { default: 10, min: 1, max: 3600, help: 'how long to measure, after a warm-up of 2 seconds' },
  clients: { default: 2, min: 1, max: 64, help: 'client processes; each subscribes and sends orders' },
  'ticks-per-second': { default: 50_000, min: 1, max: 500_000, help: 'prices sent to each client' },
  'orders-per-second': {
    default: 2_000,
    min: 1,
    max: 500_000,
    help: 'orders from each client, each in answer to a tick'
  },
  port: { default: 0, min: 0, max: 65_535, help: 'port of the server on 127.0.0.1; 0 is any free one' }
} satisfies Record<string, NumberFlag>

export class FlagError extends Error {}

export function parseFlags(args: string[]): Flags | 'help' {
  const values = parseValues(args)
  if (values.help) return 'help'
  return {
    seconds: numberOf('seconds', values.seconds),
    clients: numberOf('clients', values.clients),
    ticksPerSecond: numberOf('ticks-per-second', values['ticks-per-second']),
    ordersPerSecond: numberOf('orders-per-second', values['orders-per-second']),
    wait: waitOf(values.wait),
    port: numberOf('port', values.port)
  }
}

function parseValues(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        seconds: { type: 'string' },
        clients: { type: 'string' },
        'ticks-per-second': { type: 'string' },
        'orders-per-second': { type: 'string' },
        wait: { type: 'string' },
        port: { type: 'string' },
        help: { type: 'boolean' }
      }
    }).values
  } catch (error) {
    throw new FlagError((error as Error).message.split('\n')[0])
  }
}

function numberOf(name: keyof typeof numberFlags, text: string | undefined): number {
  const flag = numberFlags[name]
  if (text === undefined) return flag.default
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (value >= flag.min && value <= flag.max) return value
  throw new FlagError(`--${name} must be a whole number from ${flag.min} to ${flag.max}, not '${text}'`)
}

function waitOf(text: string | undefined): WaitStrategy {
  if (text === undefined) return 'blocking'
  const wait = waitStrategies.find((strategy) => strategy === text)
  if (wait) return wait
  throw new FlagError(`--wait must be one of ${waitStrategies.join(', ')}, not '${text}'`)
}

export function helpText(): string {
  const line = (flag: string, help: string) => `  ${flag.padEnd(24)}${help}\n`
  const numbers = Object.entries(numberFlags).map(([name, flag]) =>
    line(`--${name} N`, `${flag.help} (default ${flag.default})`)
  )
  return [
    'Usage: npm start -- [flags]\n\n',
    'A server process replays real prices to client processes over TCP; they answer with orders, the server\n',
    'acknowledges each. Shows messages, round trips and garbage per process, live in a terminal.\n\n',
    ...numbers,
    line('--wait STRATEGY', 'how each process waits for the network (default blocking):'),
    line('', 'blocking: sleeps until something arrives'),
    line('', 'spin: never sleeps; wants a free processor for each process'),
    line('', 'hybrid: spins for 50 us after the last message, then sleeps'),
    line('', 'manual: like spin, but the demo itself calls poll() in a loop'),
    line('--help', 'this text'),
    '\n',
    'Garbage is every byte allocated on the V8 heap of a process, divided by the messages it sent and received.\n',
    "Node's own is in it: 56 bytes for each turn of the event loop in Node 20, some 300 for each timer that fires.\n",
    "The demo's reporting is measured and left out. Collections are those of the measured time; the processes run\n",
    'with --no-memory-reducer, or V8 would collect once 8 seconds after the start, garbage or not.\n\n',
    'Ctrl-C ends a run early, with its summary. Exit code: 0; 1 if anything was lost or failed; 2 for a bad flag.\n'
  ].join('')
}
