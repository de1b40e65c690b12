// The report as one page for browsers, which needs nothing but itself: no server, no network, no other file.
import type { GcProfile } from '../gc/profile.js'
import type { GcReportData } from '../gc/report.js'
import { bytesText, countText, durationText, functionText, percentText, placeText } from '../gc/text.js'
import { timelineChart } from './gc_chart.js'
import type { ThreadDetails } from './gc_details.js'
import { flameGraph } from './gc_flame.js'
import { escapeHtml, htmlTable } from './gc_html.js'
import { script, style } from './gc_page_assets.js'
import type { GcTotal } from './gc_total.js'

/** Time lines of so many threads, of those that allocate most. */
const chartsMax = 8
const threadsMax = 100

/** `remark` says what the report lacks; empty when it is complete. */
export function pageOf(
  total: GcTotal,
  remark: string,
  details: readonly ThreadDetails[],
  profile: GcProfile
): string {
  const title = `zerio gc: ${total.parts[0].name}`
  const notes = [...(remark === '' ? [] : [`This report is incomplete: ${remark}.`]), ...total.notes]
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    // Even if text of the program became a part of the page, it could load nothing and send nothing.
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(title)}</title><style>${style}</style></head><body><main>`,
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${escapeHtml(`Node.js ${process.version}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`)}</p>`,
    ...notes.map((note) => `<p role="note">${escapeHtml(note)}</p>`),
    figures(total),
    timelines(details),
    flame(profile),
    functions(total),
    threads(total),
    `</main><script>${script}</script></body></html>\n`
  ].join('\n')
}

function figures(total: GcTotal): string {
  const { elapsedMs, heapBytes, externalBytes, generations, collections, pauses, eventLoop } = total
  const perSecond = (bytes: number): string => `${bytesText((bytes * 1000) / elapsedMs)}/s`
  const cards = [
    [
      'measured',
      durationText(elapsedMs),
      total.parts.length === 1 ? '1 thread' : `${countText(total.parts.length)} threads`
    ],
    ['heap', bytesText(heapBytes), perSecond(heapBytes)],
    ['external', bytesText(externalBytes ?? 0), perSecond(externalBytes ?? 0)],
    ['promoted', bytesText(generations.promotedBytes), `allocated old ${bytesText(generations.oldBytes)}`],
    ['collections', `${countText(collections.minor)} + ${countText(collections.major)}`, 'minor + major'],
    ['pauses', durationText(pauses.totalMs), `${percentText(pauses.share)} of the time`],
    ['longest pause', durationText(pauses.maxUs / 1000), `p99 ${durationText(pauses.p99Us / 1000)}`],
    ['loop delay p99', durationText(eventLoop.p99Ms), `busy ${percentText(eventLoop.utilization)}`]
  ]
  const card = ([name, value, more]: string[]): string =>
    `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}<small>${escapeHtml(more)}</small></dd></div>`
  return `<dl>${cards.map(card).join('')}</dl>`
}

function timelines(details: readonly ThreadDetails[]): string {
  const shown = details
    .map(({ state }) => state)
    .filter(({ timeline }) => timeline.length > 1)
    .sort((a, b) => b.report.heapBytes - a.report.heapBytes)
    .slice(0, chartsMax)
  if (shown.length === 0) return ''
  const key = (name: string, color: string): string =>
    `<span class="key" style="--color:var(--${color})">${name}</span>`
  return [
    '<h2>Memory and pauses over time</h2>',
    `<p>${key('heap', 'heap')}${key('external memory', 'external')}`,
    `${key('longest pause of minor collections', 'minor')}${key('with a major collection', 'major')}</p>`,
    ...shown.map(({ pid, name, timeline }) => timelineChart(`${pid} ${name}`, timeline))
  ].join('')
}

function flame(profile: GcProfile): string {
  const graph = flameGraph(profile)
  if (graph === '') return ''
  return [
    '<h2>Who allocates</h2>',
    '<p>Each function is as wide as what was allocated in it and in what it called, collected or not. A click enlarges it.</p>',
    graph,
    '<p id="said"></p>'
  ].join('')
}

function functions({ topAllocators }: GcReportData): string {
  if (topAllocators.length === 0) return ''
  const rows = topAllocators.map((allocator) => [
    percentText(allocator.share),
    bytesText(allocator.bytes),
    functionText(allocator),
    placeText(allocator)
  ])
  return `<h2>Functions that allocate most</h2>${htmlTable([['share', 'bytes', 'function', 'place'], ...rows])}`
}

function threads({ parts }: GcTotal): string {
  const shown = [...parts].sort((a, b) => b.heapBytes - a.heapBytes).slice(0, threadsMax)
  const rows = shown.map((part) => [
    `${part.pid} ${part.name}${part.complete ? '' : ' (incomplete)'}`,
    bytesText(part.heapBytes),
    bytesText(part.externalBytes ?? 0),
    bytesText(part.generations.promotedBytes),
    countText(part.collections.minor),
    countText(part.collections.major),
    durationText(part.pauses.totalMs),
    durationText(part.pauses.maxUs / 1000)
  ])
  const head = ['thread', 'heap', 'external', 'promoted', 'minor', 'major', 'pauses', 'longest']
  return `<h2>Threads</h2>${htmlTable([head, ...rows])}`
}
