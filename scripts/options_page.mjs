// Writes what comes from the tables of options in src/options: the interfaces in src/options/types.ts, and the tables of docs/options.md.
// Build first (`npm run build:ts`), because the tables are read from dist. With --check it writes nothing and fails when a file is old.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { argv, exit } from 'node:process'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const { engineTable } = require('../dist/options/engine.js')
const { socketTable } = require('../dist/options/socket.js')
const { serverTable } = require('../dist/options/server.js')
const { clientTable } = require('../dist/options/client.js')
const { conditionsTable } = require('../dist/options/conditions.js')
const { reconnectTable } = require('../dist/options/reconnect.js')
const { topicTable } = require('../dist/options/topic.js')
const { sessionTable, sessionsTable } = require('../dist/options/session.js')

/** Each scope: its table, its interface, and what that says. */
export const scopes = {
  engine: {
    table: engineTable,
    name: 'EngineOptions',
    text: 'Options that choose the engine: servers and clients of a thread with equal ones share one engine and its memory.'
  },
  socket: { table: socketTable, name: 'SocketOptions', text: 'Options of the sockets.' },
  server: {
    table: serverTable,
    name: 'ServerOptions',
    text: 'Options of `ZerioServer`.',
    base: 'EngineOptions, SocketOptions'
  },
  client: {
    table: clientTable,
    name: 'ClientOptions',
    text: 'Options of `ZerioClient`.',
    base: 'EngineOptions, SocketOptions'
  },
  conditions: {
    table: conditionsTable,
    name: 'ConditionsOptions',
    text: 'Options of `conditions`: a bad network on purpose.'
  },
  reconnect: {
    table: reconnectTable,
    name: 'ReconnectOptions',
    text: "Options of a client's `reconnect`."
  },
  session: { table: sessionTable, name: 'SessionOptions', text: "Options of a client's `session`." },
  sessions: { table: sessionsTable, name: 'SessionsOptions', text: "Options of a server's `sessions`." },
  topic: { table: topicTable, name: 'TopicOptions', text: 'Options of `server.topic`.' }
}

const LINE_WIDTH = 130
const units = {
  bytes: 'bytes',
  milliseconds: 'ms',
  microseconds: 'µs',
  connections: '',
  keys: '',
  percent: '%'
}
const number = (value) => value.toLocaleString('en-US')
const quoted = (value) => `'${value}'`

function rangeOf(option) {
  if (option.rangeText !== undefined) return option.rangeText
  switch (option.kind) {
    case 'choice':
      return option.values.map((value) => `\`${quoted(value)}\``).join(', ')
    case 'flag':
      return '`true`, `false`'
    default: {
      const zero = option.zero === undefined ? '0' : `0 (${option.zero})`
      const least = option.minBesideZero ?? option.min
      const multiple = option.multipleOf === undefined ? '' : `a multiple of ${number(option.multipleOf)}, `
      if (option.minBesideZero !== undefined)
        return `${multiple}${zero} or ${number(least)} to ${number(option.max)}`
      return `${multiple}${least === 0 ? zero : number(least)} to ${number(option.max)}`
    }
  }
}

function defaultOf(option) {
  if (option.defaultText !== undefined) return option.defaultText
  if (option.kind === 'choice') return `\`${quoted(option.default)}\``
  return option.kind === 'integer' ? number(option.default) : `\`${option.default}\``
}

function unitOf(option) {
  return option.kind === 'integer' ? units[option.unit] : ''
}

function rowOf([name, option]) {
  const range = [unitOf(option), rangeOf(option)].filter((text) => text !== '').join(', ')
  const live = option.live ? 'Can [change later](behaviour.md#changing-a-connection).' : ''
  const text = [option.text, live, option.see].filter(Boolean).join(' ')
  return `| \`${name}\` | ${defaultOf(option)} | ${range} | ${text} |`
}

/** The page with its tables as they are now: each stands between two markers. */
export function pageWith(page) {
  for (const [scope, { table }] of Object.entries(scopes)) {
    const rows = Object.entries(table).map(rowOf)
    const lines = ['| option | default | unit and range | |', '| --- | --- | --- | --- |', ...rows]
    const marked = new RegExp(`(<!-- options: ${scope} -->\n)[\\s\\S]*?(<!-- end -->)`)
    if (!marked.test(page)) throw new Error(`docs/options.md has no place for the options of "${scope}"`)
    page = page.replace(marked, (_, begin, end) => `${begin}${lines.join('\n')}\n${end}`)
  }
  return page
}

/** A docstring, in lines of at most LINE_WIDTH. */
function docstring(paragraphs, indent) {
  const lines = []
  for (const paragraph of paragraphs) {
    if (lines.length > 0) lines.push('')
    let line = ''
    for (const word of paragraph.split(' ')) {
      if (line !== '' && indent.length + 3 + line.length + 1 + word.length > LINE_WIDTH) {
        lines.push(line)
        line = word
      } else {
        line = line === '' ? word : `${line} ${word}`
      }
    }
    lines.push(line)
  }
  if (lines.length === 1 && indent.length + 7 + lines[0].length <= LINE_WIDTH)
    return `${indent}/** ${lines[0]} */\n`
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`
}

function typeOf(option) {
  switch (option.kind) {
    case 'choice':
      return option.type?.name ?? option.values.map(quoted).join(' | ')
    case 'integer':
      return 'number'
    case 'flag':
      return 'boolean'
    default:
      return option.type
  }
}

function factsOf(option) {
  const unit = { integer: `In ${option.unit}: `, special: '', flag: '', choice: '' }[option.kind]
  const range = option.kind === 'integer' ? `${rangeOf(option)}; ` : ''
  return `${unit}${range}default ${defaultOf(option)}.`.replace(/^default/, 'Default')
}

function memberOf([name, option]) {
  const text = docstring([option.text, factsOf(option)], '  ')
  return `${text}  ${name}?: ${typeOf(option)} | undefined\n`
}

/** src/options/types.ts as it is to be. */
export function typesText() {
  const aliases = Object.values(scopes)
    .flatMap(({ table }) => Object.values(table))
    .filter((option) => option.type?.name !== undefined)
    .map(
      ({ type, values }) =>
        `${docstring([type.text], '')}export type ${type.name} = ${values.map(quoted).join(' | ')}\n`
    )
  const interfaces = Object.values(scopes).map(({ table, name, text, base }) => {
    const heritage = base === undefined ? '' : ` extends ${base}`
    const members = Object.entries(table).map(memberOf).join('')
    return `${docstring([text], '')}export interface ${name}${heritage} {\n${members}}\n`
  })
  const live = Object.entries(socketTable).filter(([, option]) => option.live)
  const names = live.map(([name]) => quoted(name)).join(' | ')
  const liveType = `${docstring(['What `configure` takes: the options that can change while there is a connection.'], '')}export type LiveOptions = Pick<\n  SocketOptions,\n  ${names}\n>\n`
  const title =
    '// What programs pass as options. Written by scripts/options_page.mjs from the tables beside this file; change those.'
  const imports =
    "import type { LocalAddress } from './address.js'\nimport type { Authenticate } from './authenticate.js'\n"
  return [title, imports, ...aliases, ...interfaces, liveType].join('\n')
}

/** The files that come from the tables, with what they are and what they should be. */
export function outputs() {
  const read = (path) => {
    const file = fileURLToPath(new URL(`../${path}`, import.meta.url))
    return { path, file, is: readFileSync(file, 'utf8') }
  }
  const page = read('docs/options.md')
  return [
    { ...page, shouldBe: pageWith(page.is) },
    { ...read('src/options/types.ts'), shouldBe: typesText() }
  ]
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const old = outputs().filter(({ is, shouldBe }) => is !== shouldBe)
  if (argv.includes('--check')) {
    for (const { path } of old) console.error(`${path} is old: run "node scripts/options_page.mjs"`)
    exit(old.length === 0 ? 0 : 1)
  }
  for (const { file, path, shouldBe } of old) {
    writeFileSync(file, shouldBe)
    console.log(`wrote ${path}`)
  }
}
