// The small table of the README: zerio beside what else there is, from the data files of the last run.
import { readFileSync, writeFileSync } from 'node:fs'
import { readDataFile } from './data_files.mjs'
import { table, us } from './markdown.mjs'
import { between } from './marks.mjs'

const ROWS = [
  { shown: 'zerio', program: 'zerio blocking (epoll)', rates: ['zerio claim (epoll)'] },
  { shown: 'zerio, never sleeping', program: 'zerio manual (epoll)' },
  { shown: 'Bun', program: 'bun', rates: ['bun'] },
  {
    shown: '`node:net`',
    program: 'node:net',
    rates: ['node:net, batched by hand', 'node:net, a write per message'],
    labels: ['batched by hand']
  },
  { shown: 'ws', program: 'ws', rates: ['ws'] },
  { shown: 'zeromq', program: 'zeromq', rates: ['zeromq'] }
]

/** @param {string} folder of the data files */
export function readmeTable(folder) {
  const figures = (name, key, column) =>
    new Map(readDataFile(folder, name).map((row) => [row[key], Number(row[column])]))
  const trips = figures('against_round_trip', 'program', 'p50_us')
  const rates = figures('against_throughput', 'program', 'messages_per_second')
  const garbage = new Map(
    readDataFile(folder, 'garbage')
      .filter(({ side }) => side === 'echo')
      .map((row) => [row.program, Number(row.heap_bytes_per_message)])
  )
  const million = (rate) => `${rate >= 1e7 ? Math.round(rate / 1e6) : (rate / 1e6).toPrecision(2)} M`
  const shownRates = (names, labels) =>
    names
      .map((name, i) => rates.has(name) && [million(rates.get(name)), labels[i]].filter(Boolean).join(' '))
      .filter(Boolean)
      .join(', ')
  return table(
    ['32-byte messages, two processes', 'round trip, p50', 'one way, messages a second', 'garbage a message'],
    ROWS.map(({ shown, program, rates: names = [], labels = [] }) => [
      shown,
      trips.has(program) ? us(trips.get(program)) : '',
      shownRates(names, labels),
      garbage.has(program) ? `${Math.round(garbage.get(program))} B` : ''
    ])
  )
}

const BEGIN = '<!-- These figures are written by `npm run perf`. -->'
const END = '<!-- What `npm run perf` writes ends here. -->'

/** Replaces the figures in the README; the text around them stays. @param {string} readme path @param {string} folder */
export function writeReadme(readme, folder) {
  const text = readFileSync(readme, 'utf8')
  writeFileSync(readme, between(text, BEGIN, END, readmeTable(folder)))
}
