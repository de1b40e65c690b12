// The structure of the sources: imports and includes have no circles and lead downward only, and files and functions stay short.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70

/** Files of a folder by their paths in it, with their text. */
function filesOf(folder, pattern) {
  const names = readdirSync(join(root, folder), { recursive: true }).map((name) => name.replaceAll('\\', '/'))
  const found = names.filter((name) => pattern.test(name) && !name.startsWith('build/'))
  return new Map(found.sort().map((name) => [name, readFileSync(join(root, folder, name), 'utf8')]))
}

/** For each file those of the same folder that it names. `targetsOf` returns paths relative to the file. */
function graphOf(files, targetsOf) {
  const graph = new Map()
  for (const [name, text] of files) {
    const targets = targetsOf(text, name).map((target) => posix.join(posix.dirname(name), target))
    graph.set(name, [...new Set(targets)])
  }
  return graph
}

/** The first circle of a graph, as a list of files that begins and ends with the same one; undefined when there is none. */
function circleOf(graph) {
  const done = new Set()
  const path = []
  const visit = (name) => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name]
    if (done.has(name)) return undefined
    path.push(name)
    for (const target of graph.get(name) ?? []) {
      const circle = visit(target)
      if (circle !== undefined) return circle
    }
    path.pop()
    done.add(name)
    return undefined
  }
  for (const name of graph.keys()) {
    const circle = visit(name)
    if (circle !== undefined) return circle
  }
  return undefined
}

/** The layer of a file: the first that names it, or a folder that it is in. */
function layerOf(layers, name) {
  const places = layers.map((layer) =>
    Math.max(...layer.map((one) => (one === name ? 1e3 : one.endsWith('/') && name.startsWith(one) ? 1 : 0)))
  )
  const best = Math.max(...places)
  return best === 0 ? -1 : places.indexOf(best)
}

/** Arrows that lead to a higher layer, as texts. */
function upwardOf(graph, layers) {
  const found = []
  for (const [name, targets] of graph) {
    for (const target of targets)
      if (layerOf(layers, target) > layerOf(layers, name)) found.push(`${name} -> ${target}`)
  }
  return found
}

const sources = filesOf('src', /\.m?ts$/)
/** Types are imports, too: what a file must know of another one to be understood. */
const imports = graphOf(sources, (text, name) =>
  ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((path) => path.startsWith('.'))
    .map((path) => {
      const found = [path.replace(/\.js$/, '.ts'), path.replace(/\.mjs$/, '.mts')]
      return found.find((one) => sources.has(posix.join(posix.dirname(name), one))) ?? path
    })
)

/** From below upward. A file is in the layer that names it, otherwise in that of its folder. */
const layers = [
  ['engine/layout.ts', 'status.ts'],
  ['engine/border.ts', 'errors.ts', 'frame.ts'],
  ['options/'],
  ['counters.ts', 'debug_log.ts', 'reason.ts', 'repeated_source.ts'],
  ['engine/'],
  ['clock.ts', 'connecting/', 'diagnostics.ts'],
  ['endpoint.ts', 'peer.ts', 'peer_sending.ts'],
  ['topics/'],
  ['client_sending.ts', 'server_events.ts'],
  ['client_receiving.ts'],
  ['server.ts'],
  ['client.ts'],
  ['pair.ts'],
  ['index.ts', 'index.mts'],
  ['gc/'],
  ['cli/']
]

/** What sub-paths and commands may use beside the public index and their own folder. */
const exceptions = {
  // Works without the native engine, so it does not load the index.
  'gc/': ['errors.ts', 'options/given.ts'],
  // The clock and the numbers of SendStatus without the getters of the index, which would be measured, too.
  'cli/': ['gc/', 'clock.ts', 'errors.ts', 'status.ts']
}

test('imports: every file exists and belongs to a layer', (t) => {
  t.true(sources.size > 50)
  for (const [name, targets] of imports) {
    t.true(layerOf(layers, name) >= 0, name)
    for (const target of targets) t.true(sources.has(target), `${name} -> ${target}`)
  }
})

test('imports: no circles', (t) => t.is(circleOf(imports)?.join(' -> '), undefined))

test('imports: none leads to a higher layer', (t) => t.deepEqual(upwardOf(imports, layers), []))

test('imports: sub-paths and commands use the public index, and what is declared', (t) => {
  for (const [name, targets] of imports) {
    const folder = Object.keys(exceptions).find((one) => name.startsWith(one))
    if (folder === undefined) continue
    const allowed = [folder, 'index.ts', ...exceptions[folder]]
    for (const target of targets) {
      const fits = allowed.some((one) => (one.endsWith('/') ? target.startsWith(one) : target === one))
      t.true(fits, `${name} -> ${target}`)
    }
  }
})

for (const [kind, code] of [
  ['require', "require('./dist/index.js')"],
  ['import', "await import('./dist/index.mjs')"]
]) {
  test(`${kind} of the package loads no sub-path`, (t) => {
    const program = `
      import { createRequire } from 'node:module'
      const require = createRequire(process.cwd() + '/')
      ${code}
      console.log(JSON.stringify(Object.keys(require.cache)))`
    const args = ['--input-type=module', '--eval', program]
    const { stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    const loaded = JSON.parse(stdout).map((path) => path.replaceAll('\\', '/'))
    t.true(loaded.some((path) => path.endsWith('dist/engine/native.js')))
    t.deepEqual(
      loaded.filter((path) => /dist\/(gc|cli)\//.test(path)),
      []
    )
  })
}

const natives = filesOf('addon', /\.(cc|h)$/)
const includes = graphOf(natives, (text) =>
  [...text.matchAll(/^#include "([^"]+)"/gm)].map(([, path]) => path)
)

test('includes: no circles, and io is below engine is below binding', (t) => {
  t.true(natives.size > 40)
  for (const [name, targets] of includes)
    for (const target of targets) t.true(natives.has(target), `${name} -> ${target}`)
  t.is(circleOf(includes)?.join(' -> '), undefined)
  t.deepEqual(upwardOf(includes, [['io/'], ['engine/'], ['binding/']]), [])
})

test('includes: Node-API is for the binding alone, and the system for what is below the engine', (t) => {
  for (const [name, text] of natives) {
    if (name.startsWith('binding/')) continue
    const headers = [...text.matchAll(/^#include <([^>]+)>/gm)].map(([, path]) => path)
    const foreign = name.startsWith('io/') ? /^node_api\.h$/ : /\.h$/
    t.deepEqual(
      headers.filter((header) => foreign.test(header)),
      [],
      name
    )
  }
})

/** Names and lines of the functions of a file. */
function functionsOf(name, text) {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
  const found = []
  const lineOf = (at) => file.getLineAndCharacterOfPosition(at).line
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body !== undefined) {
      const lines = lineOf(node.getEnd()) - lineOf(node.getStart()) + 1
      found.push({ name: `${name}: ${node.name?.getText() ?? 'a function'}`, lines })
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

test('no file is longer than it should be', (t) => {
  for (const [folder, files] of [
    ['src', sources],
    ['addon', natives]
  ]) {
    const long = [...files].filter(([, text]) => text.split('\n').length - 1 > FILE_LINES_MAX)
    t.deepEqual(
      long.map(([name]) => `${folder}/${name}`),
      []
    )
  }
})

test('no function is longer than it should be', (t) => {
  const all = [...sources].flatMap(([name, text]) => functionsOf(name, text))
  t.true(all.length > 300)
  t.deepEqual(
    all.filter(({ lines }) => lines > FUNCTION_LINES_MAX),
    []
  )
  // Those of C++ are clang-tidy's, which `npm run lint` runs.
  const checks = readFileSync(join(root, '.clang-tidy'), 'utf8')
  t.true(checks.includes('readability-function-size'))
  t.regex(checks, new RegExp(`readability-function-size\\.LineThreshold\\s+value: ${FUNCTION_LINES_MAX}\\b`))
})

test('the checks of this file find what they are for', (t) => {
  t.deepEqual(
    circleOf(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['b']]
      ])
    ),
    ['b', 'c', 'b']
  )
  t.is(
    circleOf(
      new Map([
        ['a', ['b', 'c']],
        ['b', ['c']],
        ['c', []]
      ])
    ),
    undefined
  )
  t.deepEqual(upwardOf(new Map([['io/a.h', ['engine/b.h']]]), [['io/'], ['engine/']]), [
    'io/a.h -> engine/b.h'
  ])
  t.is(functionsOf('x.ts', `class A { m(): void {\n${'f()\n'.repeat(80)}} }`)[0].lines, 82)
})
