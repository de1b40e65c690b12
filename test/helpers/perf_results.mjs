// Made-up results of all sections of `npm run perf`, as many rows as a whole run has; figures grow with `factor`.

const MACHINE = { zerio: '1', node: 'v1', kernel: '1', cpu: 'a CPU', cpuCount: 2, memoryGb: 1, others: '' }
const BACKENDS = ['epoll', 'io_uring']
const STRATEGIES = ['manual', 'spin', 'hybrid', 'adaptive', 'blocking']
const own = (names) => BACKENDS.flatMap((backend) => names.map((name) => `${name} (${backend})`))
const waiting = own(STRATEGIES.map((strategy) => `zerio ${strategy}`))

function sectionsOf(factor) {
  const latencies = { p50Us: 5 * factor, p90Us: 7 * factor, p99Us: 9 * factor, p999Us: 900 * factor }
  const cell = { ...latencies, p9999Us: undefined, maxUs: 2000 * factor, quietP99Us: 8 * factor, keepsUp: 1 }
  const each = (lists, row) =>
    lists.reduce((rows, list) => rows.flatMap((one) => list.map((value) => [...one, value])), [[]]).map(row)
  const peers = [1, 10, 100, 1000, 10_000]
  const fanOut = ['c send loop', 'zerio (epoll)', 'zerio (io_uring)', 'node:net', 'node:net batched']
  const updating = ['node:net', 'node:net batched', 'ws', 'ws batched']
  const growing = ['c epoll', 'c spin', ...own(['zerio blocking', 'zerio spin']), 'node:net']
  const ways = [
    'c framed',
    ...own(['claim', 'send', 'run']),
    'c single',
    ...own(['claim, flush', 'send, flush'])
  ]
  const others = ['node:net', 'ws', 'zeromq']
  const five = [1, 1.01, 1.02, 1.03, 1.04]
  const side = (bytes) => ({ bytesPerMessage: bytes, mallocsPerMessage: 0.001 * factor, collections: {} })
  const target = {
    name: 'manual',
    unit: '×',
    value: factor,
    values: five.map((one) => one * factor),
    decision: 'reached',
    note: ''
  }
  return {
    targets: {
      targets: [
        { ...target, program: 'zerio manual', reference: 'c spin', atMost: 9 },
        { ...target, name: 'memory', program: 'zerio memory', unit: 'MB', atMost: 30 }
      ],
      noisy: [],
      failures: {},
      repetitions: 5
    },
    'round-trip': {
      programs: Object.fromEntries(
        ['c spin', 'c epoll', ...waiting].map((program) => [
          program,
          Object.fromEntries(
            each(
              [
                [32, 1024],
                [10, 100],
                [1, 50]
              ],
              ([bytes, us, burst]) => [`${bytes}:${us}:${burst}`, { ...cell, curve: [{}] }]
            )
          )
        ])
      ),
      failures: {},
      repetitions: 2
    },
    throughput: {
      rows: each([[16, 32, 64, 256, 1024, 4096, 16384, 65536], ways], ([bytes, program]) => ({
        bytes,
        program,
        messagesPerSecond: 1e6 * factor,
        spread: 0.1,
        ofC: five.map((one) => one * factor)
      })),
      failures: {},
      repetitions: 3,
      aimRepetitions: 11
    },
    'fan-out': {
      rows: each([peers.slice(1), ['64:1', '64:10', '16384:1'], fanOut], ([count, turn, program]) => ({
        peers: count,
        bytes: Number(turn.split(':')[0]),
        perTurn: Number(turn.split(':')[1]),
        program,
        ...(program.startsWith('zerio')
          ? { ofC: factor, ratios: five.map((one) => one * factor) }
          : { ratios: [] }),
        cpuNs: 2000 * factor,
        lastUs: 30 * factor
      })),
      failures: {},
      leftOut: [],
      repetitions: 3
    },
    'slow-consumers': {
      rows: each(
        [
          [...own(['zerio']), ...updating],
          [0, 100]
        ],
        ([program, slow]) => ({
          program,
          slow,
          updatesPerSecond: 10_000 * factor,
          ...latencies,
          windowP99Us: 30_000 * factor,
          ratios: slow === 0 ? [] : five.map((one) => one * factor),
          memoryMb: 80 * factor,
          memoryGrowthMb: factor,
          memoryIsOver: false,
          collections: 3,
          pauseMs: 5 * factor
        })
      ),
      failures: {},
      missing: null,
      measuredSeconds: 10,
      repetitions: 5
    },
    growth: {
      rows: each([[1, 100, 1000, 10_000], [1], growing], ([count, active, program]) => ({
        ...{ peers: count, active, program, quietP99Us: 70 * factor, memoryMb: 50 * factor, ...latencies },
        cpuUs: program.includes('spin') ? undefined : 20 * factor,
        runs: five.map((one) => ({ quietP99Us: 70 * factor * one }))
      })),
      failures: {},
      leftOut: [],
      repetitions: 3
    },
    'most-peers': {
      peers: 19_900,
      rows: each(
        [
          ['blocking', 'spin', 'hybrid', 'adaptive', 'manual', 'blocking, 100 timers'],
          ['epoll', 'io_uring']
        ],
        ([kind, backend]) => ({
          ...{ kind, backend, aloneP99Us: 70 * factor, p99Us: 80 * factor },
          ofAlone: five.map((one) => one * factor)
        })
      ),
      failures: {},
      repetitions: 5
    },
    churn: {
      rows: ['c epoll', ...own(['zerio']), 'node:net'].map((program) => ({
        program,
        newcomersPerSecond: 10_000 * factor,
        spread: 0.1,
        cpuUs: 80 * factor,
        ofC: five.map((one) => one * factor)
      })),
      failures: {},
      repetitions: 7
    },
    long: {
      rows: each(
        [
          ['one way', 'echo'],
          [1024, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_215],
          ['c', ...own(['zerio'])]
        ],
        ([kind, bytes, program]) => ({
          program,
          kind,
          bytes,
          perSecond: 1000 * factor,
          ofC: five.map((one) => one * factor)
        })
      ),
      failures: {},
      repetitions: 5
    },
    ordinary: {
      rows: each(
        [
          [100, 1000, 10_000, 14_000],
          [...own(['zerio']), 'node:net']
        ],
        ([count, program]) => ({
          peers: count,
          program,
          share: 0.03 * factor,
          ...latencies,
          runs: five.map((one) => ({ share: 0.03 * factor * one, p50Us: 5 * factor }))
        })
      ),
      idle: BACKENDS.map((backend) => ({
        backend,
        share: 0.001 * factor,
        shares: five.map((one) => 0.001 * factor * one)
      })),
      failures: {},
      leftOut: [],
      repetitions: 3
    },
    garbage: {
      programs: Object.fromEntries(
        [...waiting, ...others].map((program) => [
          program,
          { roundTrips: 100_000, echo: side(400 * factor), client: side(300 * factor) }
        ])
      ),
      failures: {},
      missing: null
    },
    against: {
      roundTrips: ['c spin', 'c epoll', ...own(['zerio manual', 'zerio blocking']), ...others, 'bun'].map(
        (program) => ({
          program,
          ...latencies,
          spread: 0.1
        })
      ),
      rates: [
        'c framed',
        ...own(['zerio claim', 'zerio send']),
        'node:net, a write per message',
        'node:net, batched by hand',
        ...others.slice(1),
        'bun'
      ].map((program) => ({ program, messagesPerSecond: 2e6 * factor, spread: 0.1 })),
      failures: {},
      missing: {},
      repetitions: 3
    }
  }
}

/** @returns {Map<string, object>} what `writeReport` takes */
export function madeUpResults(factor) {
  const common = {
    measuredAt: '2026-01-02T03:04:05.000Z',
    quick: false,
    noise: { othersPart: 0, stolenPart: 0 },
    machine: MACHINE
  }
  return new Map(Object.entries(sectionsOf(factor)).map(([name, data]) => [name, { ...common, data }]))
}
