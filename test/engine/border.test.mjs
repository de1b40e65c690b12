// The border between JavaScript and native code: every number that both sides use is in both tables, and one that differs stops the load.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))
const require = createRequire(import.meta.url)
const { borderMismatch, borderTable } = require('../../dist/engine/border.js')
const { native } = require('../../dist/engine/native.js')

/** What loading a copy of the package says whose layout.js was changed. */
function errorOf(t, change) {
  const folder = mkdtempSync(join(tmpdir(), 'zerio-border-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  cpSync(join(root, 'prebuilds'), join(folder, 'prebuilds'), { recursive: true })
  const file = join(folder, 'dist', 'engine', 'layout.js')
  const before = readFileSync(file, 'utf8')
  const after = change(before)
  t.not(after, before)
  writeFileSync(file, after)
  const source = `
    try { require(${JSON.stringify(join(folder, 'dist', 'index.js'))}); console.log('{}') }
    catch (error) { console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message })) }`
  const { stdout, stderr } = spawnSync(process.execPath, ['--eval', source], { encoding: 'utf8' })
  t.is(stderr, '')
  return JSON.parse(stdout)
}

const broken = {
  'a kind of event': ['EventKind.Drain', (text) => text.replace('["Drain"] = 5', '["Drain"] = 6')],
  'a field of an event': ['RunEvent.Bytes', (text) => text.replace('["Bytes"] = 4', '["Bytes"] = 5')],
  'a slot word': ['SlotWord.Head', (text) => text.replace('["Head"] = 3', '["Head"] = 2')],
  'a counter': ['ServerCounter.Ended', (text) => text.replace('["Ended"] = 17', '["Ended"] = 18')],
  'a code': ['Code.Replaced', (text) => text.replace('["Replaced"] = 1015', '["Replaced"] = 1016')],
  'a name that only JavaScript has': [
    'SlotWord.Tale',
    (text) => text.replace('["Tail"] = 0] = "Tail"', '["Tale"] = 0] = "Tale"')
  ],
  'a name that only native code has': [
    'Header.ChannelMax',
    (text) => text.replace(/^.*"ChannelMax".*\n/m, '')
  ]
}
for (const [what, [name, change]] of Object.entries(broken)) {
  test(`${what} that differs: the package refuses to load, and names it`, (t) => {
    const error = errorOf(t, change)
    t.is(error.name, 'ZerioError')
    t.is(error.code, 'ZERIO_NO_BINARY')
    t.true(error.message.includes(`another build than zerio's JavaScript (${name} differs)`), error.message)
  })
}

test('each number alone is compared', (t) => {
  t.is(borderMismatch(native.layout), undefined)
  t.is(borderMismatch(undefined), borderTable().keys().next().value)
  t.true(borderTable().size > 100)
  for (const name of borderTable().keys()) {
    t.is(borderMismatch({ ...native.layout, [name]: native.layout[name] + 1 }), name)
    const { [name]: _, ...without } = native.layout
    t.is(borderMismatch(without), name)
  }
  t.is(borderMismatch({ ...native.layout, 'Layout.New': 1 }), 'Layout.New')
})

/** What a header declares: constants of layout.h, enumerators, and fields of events. */
function declared(file) {
  const text = readFileSync(join(root, 'addon', 'engine', file), 'utf8').replaceAll(/\/\/.*/g, '')
  const enumerators = [...text.matchAll(/enum class \w+ : \w+ \{([^}]*)\}/g)].flatMap(([, body]) =>
    [...body.matchAll(/(\w+) = \d+/g)].map(([, name]) => name)
  )
  return {
    constants: [...text.matchAll(/inline constexpr \w+ (k\w+) =/g)].map(([, name]) => name),
    enumerators,
    fields: [...text.matchAll(/struct (\w*Event) \{([^}]*)/g)].flatMap(([, event, body]) =>
      [...body.matchAll(/^ {2}(?:EventKind|uint32_t) (\w+)(?: = .*)?;/gm)].map(([, name]) => [event, name])
    )
  }
}

test('the native table leaves nothing out that layout.h, events.h, status.h and codes.h declare', (t) => {
  const table = readFileSync(join(root, 'addon', 'binding', 'border.h'), 'utf8')
  const { constants } = declared('layout.h')
  t.true(constants.length > 60)
  // Made of another one.
  for (const name of constants)
    if (name !== 'kEventBytes') t.true(table.includes(`layout::${name}}`), `layout.h: ${name}`)
  const events = declared('events.h')
  t.true(events.enumerators.length > 10)
  for (const kind of events.enumerators) t.true(table.includes(`number_of(EventKind::${kind})`), kind)
  t.true(events.fields.length > 30)
  for (const [event, field] of events.fields) {
    // The words that all events have are those of Event.
    const base = ['kind', 'slot', 'server', 'owner'].includes(field) && event !== 'ReleasedEvent'
    const named = base ? ['Event', field === 'kind' ? 'kind' : 'owner'] : [event, field]
    if (event === 'ReleasedEvent' && ['kind', 'slot'].includes(field)) continue
    t.true(table.includes(`offsetof(${named[0]}, ${named[1]})`), `${event}.${field}`)
  }
  const places = declared('status.h').enumerators
  t.true(places.length > 15)
  for (const place of places) t.true(table.includes(`number_of(StatusField::${place})`), place)
  const codes = declared('codes.h').enumerators.filter((name) => name !== 'None')
  t.true(codes.length > 20)
  for (const code of codes) t.true(table.includes(`number_of(Code::${code})`), code)
})

test('no other file writes a place in an event as a number', (t) => {
  const folder = join(root, 'src', 'engine')
  for (const name of readdirSync(folder)) {
    const text = readFileSync(join(folder, name), 'utf8')
    t.notRegex(text, /[eE]vents?(Words)?\[[^\]]*\+ \d/, name)
  }
})
