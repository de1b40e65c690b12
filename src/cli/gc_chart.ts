// The time line of one thread on the report's page: the heap's size, the memory outside of it, and the longest pauses below.
import { bytesText, durationText } from '../gc/text.js'
import type { GcPoint } from './gc_channel.js'
import { escapeHtml } from './gc_html.js'

const width = 1000
const sizesHeight = 180
const pausesHeight = 60
const gap = 24
const height = sizesHeight + gap + pausesHeight + 20

/** `endMs` is where the time axis ends; it begins at 0, when the thread began. */
export function timelineChart(name: string, points: readonly GcPoint[]): string {
  const endMs = Math.max(...points.map(({ atMs }) => atMs), 1)
  const sizeMax = Math.max(...points.map((point) => point.heapSizeBytes + point.externalSizeBytes), 1)
  const pauseMaxMs = Math.max(...points.map(({ longestPauseMs }) => longestPauseMs), 0.001)
  const x = (ms: number): string => ((ms / endMs) * width).toFixed(1)
  const y = (bytes: number): string => (sizesHeight - (bytes / sizeMax) * (sizesHeight - 16)).toFixed(1)
  const area = (of: (point: GcPoint) => number): string => {
    const line = points.map((point) => `${x(point.atMs)},${y(of(point))}`)
    return `${x(points[0].atMs)},${sizesHeight} ${line.join(' ')} ${x(points[points.length - 1].atMs)},${sizesHeight}`
  }
  const pausesTop = sizesHeight + gap
  const bars = points.map((point, i) => {
    const from = i === 0 ? 0 : points[i - 1].atMs
    const barHeight = (point.longestPauseMs / pauseMaxMs) * pausesHeight
    const kind = point.major > 0 ? 'major' : 'minor'
    const barWidth = Math.max(1, ((point.atMs - from) / endMs) * width - 0.5)
    return (
      `<rect class="${kind}" x="${x(from)}" y="${(pausesTop + pausesHeight - barHeight).toFixed(1)}" ` +
      `width="${barWidth.toFixed(1)}" height="${barHeight.toFixed(1)}"><title>${escapeHtml(pointText(point))}</title></rect>`
    )
  })
  return [
    `<figure><figcaption>${escapeHtml(name)}</figcaption>`,
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`Memory and pauses of ${name}`)}">`,
    `<polygon class="external" points="${area((point) => point.heapSizeBytes + point.externalSizeBytes)}"/>`,
    `<polygon class="heap" points="${area(({ heapSizeBytes }) => heapSizeBytes)}"/>`,
    `<text x="4" y="12">${bytesText(sizeMax)}</text>`,
    ...bars,
    `<text x="4" y="${pausesTop - 6}">longest pauses, up to ${durationText(pauseMaxMs)}</text>`,
    `<line x1="0" x2="${width}" y1="${sizesHeight}" y2="${sizesHeight}"/>`,
    `<line x1="0" x2="${width}" y1="${pausesTop + pausesHeight}" y2="${pausesTop + pausesHeight}"/>`,
    `<text x="0" y="${height - 4}">0</text>`,
    `<text x="${width}" y="${height - 4}" text-anchor="end">${durationText(endMs)}</text>`,
    '</svg></figure>'
  ].join('')
}

function pointText(point: GcPoint): string {
  return [
    `at ${durationText(point.atMs)}`,
    `longest pause ${durationText(point.longestPauseMs)}, all ${durationText(point.pausedMs)}`,
    `${point.minor} minor, ${point.major} major`,
    `heap ${bytesText(point.heapSizeBytes)}, external ${bytesText(point.externalSizeBytes)}`,
    `allocated ${bytesText(point.allocatedBytes)}`
  ].join('\n')
}
