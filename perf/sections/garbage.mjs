// What a message allocates on each side: bytes on the V8 heap, collections and their pauses, native allocations.
import { join } from 'node:path'
import { extern, installExtern } from '../lib/extern.mjs'
import { measureSides } from '../lib/garbage.mjs'
import { byKind } from '../lib/garbage_lines.mjs'
import { interleave } from '../lib/interleave.mjs'
import { STRATEGIES } from '../lib/programs.mjs'
import { rounded } from '../report/data_files.mjs'
import { count, failed, table } from '../report/markdown.mjs'

const FULL = { warmup: 20_000, count: 100_000 }
const QUICK = { warmup: 10_000, count: 20_000 }

const script = (path) => join(import.meta.dirname, '..', path)

/** What the page shows of one side. Each side receives and sends every message of the connection once in a round trip. */
const shownOf = ({ bytes, mallocs, collections }, { count }) => ({
  bytesPerMessage: Math.max(0, bytes / (2 * count)),
  mallocsPerMessage: mallocs / (2 * count),
  collections: byKind(collections)
})

async function measure(echo, client, flags, sizes) {
  const sides = await measureSides(echo, client, flags, sizes)
  return {
    echo: shownOf(sides.echo, sizes),
    client: shownOf(sides.client, sizes),
    roundTrips: sizes.count
  }
}

/** @type {import('./index.mjs').Section} */
export const garbage = {
  name: 'garbage',
  title: 'Garbage',

  async run({ quick, backends, progress }) {
    const sizes = quick ? QUICK : FULL
    const missing = installExtern(progress)
    const programs = {}
    const add = (name, echo, client, flags = []) => {
      programs[name] = () => measure(echo, client, flags, sizes)
    }
    for (const backend of backends) {
      for (const strategy of STRATEGIES) {
        const flags = ['--strategy', strategy, '--backend', backend]
        add(
          `zerio ${strategy} (${backend})`,
          script('zerio/echo_server.mjs'),
          script('zerio/ping_pong_client.mjs'),
          flags
        )
      }
    }
    add('node:net', script('net/echo_server.mjs'), script('net/ping_pong_client.mjs'))
    if (missing === null) {
      for (const name of ['ws', 'zeromq']) {
        add(name, extern(`${name}/echo_server.mjs`), extern(`${name}/ping_pong_client.mjs`))
      }
    }
    const { results, failures } = await interleave(programs, 1, progress)
    return {
      programs: Object.fromEntries(Object.entries(results).map(([name, [result]]) => [name, result])),
      failures,
      missing
    }
  },

  render({ programs, failures, missing }, { data }) {
    data.add('garbage', Object.entries(programs).flatMap(sidesOf))
    // The two other strategies lie between these.
    const shown = Object.entries(programs).filter(([program]) => !/ (spin|hybrid|adaptive) /.test(program))
    const roundTrips = Object.values(programs)[0]?.roundTrips ?? 0
    return [
      `${count(roundTrips)} round trips of 32 B after a warm-up; each message is sent once and received once by each side. Bytes are those that V8 allocated on its heap.`,
      `A Node.js process allocates a little by itself, most of it in its compiler, however many messages there are: that is what is left where nothing is allocated per message. Figures are those of the echo side and of the client. \`spin\`, \`hybrid\` and \`adaptive\` are in the data file. ${data.link('garbage')}`,
      '',
      table(
        ['program', 'bytes per message', 'mallocs per message', 'collections', 'all pauses'],
        shown.map(([program, { echo, client }]) => {
          const both = (figure) => `${figure(echo)} and ${figure(client)}`
          return [
            program,
            both(({ bytesPerMessage }) => bytesPerMessage.toFixed(bytesPerMessage < 10 ? 2 : 0)),
            both(({ mallocsPerMessage }) => mallocsPerMessage.toFixed(4)),
            both(({ collections }) => kindsOf(collections)),
            both(({ collections }) => `${pausesOf(collections).total.toFixed(1)} ms`)
          ]
        })
      ),
      '',
      ...(missing === null ? [] : [`- ws and zeromq were left out: ${missing}`]),
      ...failed(failures)
    ].join('\n')
  },

  noteworthy: () => []
}

function sidesOf([program, result]) {
  return ['echo', 'client'].map((side) => {
    const { bytesPerMessage, mallocsPerMessage, collections } = result[side]
    const { longest, total } = pausesOf(collections)
    return {
      program,
      side,
      heap_bytes_per_message: rounded(bytesPerMessage),
      mallocs_per_message: Number(mallocsPerMessage.toFixed(4)),
      collections: kindsOf(collections),
      longest_pause_ms: rounded(longest),
      all_pauses_ms: rounded(total)
    }
  })
}

const kindsOf = (collections) =>
  Object.entries(collections)
    .map(([kind, { count }]) => `${count} ${kind}`)
    .join(', ') || '0'

function pausesOf(collections) {
  const kinds = Object.values(collections)
  return {
    longest: Math.max(0, ...kinds.map(({ pauseMsMax }) => pauseMsMax)),
    total: kinds.reduce((sum, { pauseMsTotal }) => sum + pauseMsTotal, 0)
  }
}
