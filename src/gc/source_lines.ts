// Lines of the source that the user wrote, for functions of code that was compiled, bundled or had its types removed.
//
// Node.js keeps source maps where the program or a loader (tsx) has enabled them; others are found by the comment in the script's
// file. Scripts that a loader made in memory are known to V8's debugger alone. Enabling it makes every promise of the thread slower
// for good, so it is asked only when the program is over. A map that cannot be read is left alone: the line of the running code is
// then the best that is known.
import { readFileSync, statSync } from 'node:fs'
import type { Session } from 'node:inspector'
import * as nodeModule from 'node:module'
import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Site } from './allocation_tree.js'
import { post } from './inspector.js'

/** A longer script or map would take seconds to read. */
const bytesMax = 64e6
/** V8 compiles the first function of each script that it holds. */
const heldMax = 200

interface SourceMapAt {
  readonly map: nodeModule.SourceMap
  /** What the paths in the map are relative to. */
  readonly base: URL
}

interface Origin {
  originalSource: string
  originalLine: number
  originalColumn: number
}

interface ScriptParsed {
  params: { scriptId: string; url: string; sourceMapURL?: string }
}

/**
 * Changes the places of these functions to those in the user's sources, where there are source maps. `locations` are those of maps of
 * scripts in memory, by the number of the script; see {@link withScripts}.
 */
export function mapToSources(sites: readonly Site[], locations: ReadonlyMap<string, string>): void {
  const maps = new Map<string, SourceMapAt | undefined>()
  for (const site of sites) {
    const { scriptId, url } = site
    if (url === '' || url.startsWith('node:')) continue
    if (!maps.has(scriptId)) maps.set(scriptId, storedMap(url) ?? memoryMap(url, locations.get(scriptId)))
    const map = maps.get(scriptId)
    if (map !== undefined) move(site, map)
  }
}

/**
 * Calls `work` with the locations of the source maps of all scripts, for a program that is over. Scripts that nothing refers to any more
 * keep their names and lines meanwhile: a breakpoint holds each of them through the collection that comes with the samples.
 */
export function withScripts(session: Session, work: (locations: ReadonlyMap<string, string>) => void): void {
  const locations = new Map<string, string>()
  const scriptIds: string[] = []
  const listener = ((message: ScriptParsed) => {
    const { scriptId, url, sourceMapURL } = message.params
    if (sourceMapURL) locations.set(scriptId, sourceMapURL)
    if (url !== '' && !url.startsWith('node:')) scriptIds.push(scriptId)
  }) as (message: object) => void
  session.on('Debugger.scriptParsed', listener)
  // Its answer comes after an event for each script that there is, the newest first.
  attempt(() => post(session, 'Debugger.enable'))
  for (const scriptId of scriptIds.slice(0, heldMax)) {
    attempt(() => post(session, 'Debugger.setBreakpoint', { location: { scriptId, lineNumber: 0 } }))
  }
  work(locations)
  attempt(() => post(session, 'Debugger.disable'))
  session.off('Debugger.scriptParsed', listener)
}

function storedMap(url: string): SourceMapAt | undefined {
  return attempt(() => {
    const script = urlOf(url)
    const known = nodeModule.findSourceMap(url)
    if (known !== undefined) return { map: known, base: script }
    if (script.protocol !== 'file:' || statSync(script).size > bytesMax) return undefined
    const [, location] = /^.*\n\/\/[#@] ?sourceMappingURL=(\S+)/s.exec(readFileSync(script, 'utf8')) ?? []
    return location === undefined ? undefined : mapAt(location, script)
  })
}

function memoryMap(url: string, location: string | undefined): SourceMapAt | undefined {
  return location === undefined ? undefined : attempt(() => mapAt(location, urlOf(url)))
}

function mapAt(location: string, script: URL): SourceMapAt | undefined {
  const place = new URL(location, script)
  const text = textAt(place)
  if (text === undefined) return undefined
  const payload = JSON.parse(text) as nodeModule.SourceMapPayload
  const folder = place.protocol === 'data:' ? script : place
  const base = payload.sourceRoot ? new URL(`${payload.sourceRoot.replace(/\/$/, '')}/`, folder) : folder
  return { map: new nodeModule.SourceMap(payload), base }
}

function textAt(place: URL): string | undefined {
  if (place.protocol === 'file:')
    return statSync(place).size > bytesMax ? undefined : readFileSync(place, 'utf8')
  if (place.protocol !== 'data:' || place.href.length > bytesMax) return undefined
  const comma = place.href.indexOf(',')
  const data = place.href.slice(comma + 1)
  return place.href.slice(0, comma).endsWith(';base64')
    ? Buffer.from(data, 'base64').toString()
    : decodeURIComponent(data)
}

function move(site: Site, { map, base }: SourceMapAt): void {
  const origin = map.findEntry(site.line - 1, site.column - 1) as Partial<Origin>
  const { originalSource, originalLine, originalColumn = 0 } = origin
  if (originalSource === undefined || originalLine === undefined) return
  const source = attempt(() => urlOf(originalSource, base))
  if (source === undefined) return
  const isPath = isAbsolute(site.url) && source.protocol === 'file:'
  site.url = isPath ? fileURLToPath(source) : source.href
  site.line = originalLine + 1
  site.column = originalColumn + 1
}

function urlOf(place: string, base?: URL): URL {
  return isAbsolute(place) ? pathToFileURL(place) : new URL(place, base)
}

/** Maps are made by other programs: whatever is wrong with one costs its lines, not the report. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
