// Each option is declared once: its check, its type, its docstring and its row in docs/options.md all say what the table says.

import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import ts from 'typescript'
import { ZerioClient, ZerioError, ZerioServer } from 'zerio'
import { outputs, scopes } from '../../scripts/options_page.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The options of a topic are given to a method. */
class TopicOf {
  constructor(_port, options) {
    const server = new ZerioServer(1, { maxMessageLength: 16_777_215 })
    server.topic('topic', options)
  }
}
const classesOf = {
  engine: [ZerioServer, ZerioClient],
  socket: [ZerioServer, ZerioClient],
  server: [ZerioServer],
  client: [ZerioClient],
  conditions: [ZerioServer, ZerioClient],
  reconnect: [ZerioClient],
  session: [ZerioClient],
  sessions: [ZerioServer],
  topic: [TopicOf]
}
/** Options with one of this scope. */
const optionsWith = (scope, name, value) => {
  if (scope === 'reconnect') return { reconnect: { delayMs: 1, delayMsMax: 3_600_000, [name]: value } }
  if (scope === 'topic') {
    const slow = { keysMax: 'latest', valueBytesMax: 'latest', pendingBytesMax: 'close', behindMs: 'close' }
    const rest = name === 'valueBytesMax' ? { keysMax: 1 } : {}
    return { ...rest, ...(name === 'slow' ? {} : { slow: slow[name] }), [name]: value }
  }
  return /^(conditions|sessions?)$/.test(scope) ? { [scope]: { [name]: value } } : { [name]: value }
}
const all = Object.entries(scopes).flatMap(([scope, { table }]) =>
  Object.entries(table).map(([name, option]) => ({ scope, name, option }))
)

for (const { path, is, shouldBe } of outputs())
  test(`${path} is what the tables say`, (t) => t.is(is, shouldBe, 'run "node scripts/options_page.mjs"'))

test('each option has a sentence, and its name ends with its unit', (t) => {
  t.true(all.length > 25)
  const endings = {
    milliseconds: /Ms(Max)?$/,
    microseconds: /Us$/,
    bytes: /(Bytes(Max)?|Length)$/,
    connections: /./,
    keys: /^keys/,
    percent: /Percent$/
  }
  for (const { name, option } of all) {
    t.regex(option.text, /^[A-Z].*\.$/, name)
    t.regex(name, endings[option.unit] ?? /^[a-z]/, name)
  }
})

for (const { scope, name, option } of all) {
  test(`${name}: the check is that of the table`, (t) => {
    for (const Class of classesOf[scope]) {
      const refuses = (value) =>
        t.throws(() => new Class(1, optionsWith(scope, name, value)), {
          instanceOf: ZerioError,
          code: 'ZERIO_BAD_OPTION'
        })
      const takes = (value) => t.notThrows(() => new Class(1, optionsWith(scope, name, value)))
      refuses(null)
      if (!/^(conditions|reconnect|sessions?)$/.test(name)) refuses({})
      if (option.kind === 'choice') for (const value of option.values) takes(value)
      if (option.kind === 'flag') for (const value of [true, false]) takes(value)
      if (option.kind !== 'integer') continue
      takes(option.max)
      takes(option.default)
      refuses(option.max + 1)
      refuses(option.min - 1)
      if (option.minBesideZero !== undefined) refuses(option.minBesideZero - 1)
      if (option.multipleOf !== undefined) refuses(option.max - 1)
    }
  })
}

/** What the compiler says of a program that compares the public types with those that the tables have. */
function complaints(program) {
  const file = join(root, 'dist', 'options', 'proof.mts')
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    module: ts.ModuleKind.Node16,
    target: ts.ScriptTarget.ES2022,
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')]
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.getSourceFile = (name, ...more) =>
    name === file
      ? ts.createSourceFile(file, program, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, name, ...more)
  host.fileExists = (name) => name === file || fileExists.call(host, name)
  host.getCurrentDirectory = () => dirname(file)
  return ts
    .getPreEmitDiagnostics(ts.createProgram([file], options, host))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

const proof = `
import type { ClientOptions, EngineOptions, ReconnectOptions, ServerOptions, SessionOptions, SessionsOptions, SocketOptions, TopicOptions } from './types.js'
import type { clientTable } from './client.js'
import type { engineTable } from './engine.js'
import type { Given } from './option.js'
import type { reconnectTable } from './reconnect.js'
import type { serverTable } from './server.js'
import type { sessionTable, sessionsTable } from './session.js'
import type { socketTable } from './socket.js'
import type { topicTable } from './topic.js'

type Equal<One, Other> =
  (<T>() => T extends One ? 1 : 2) extends <T>() => T extends Other ? 1 : 2 ? true : false
type Flat<T> = { [Name in keyof T]: T[Name] }
type Engine = typeof engineTable
type Socket = typeof socketTable
export const engine: Equal<Flat<EngineOptions>, Flat<Given<Engine>>> = true
export const socket: Equal<Flat<SocketOptions>, Flat<Given<Socket>>> = true
export const server: Equal<Flat<ServerOptions>, Flat<Given<Engine & Socket & typeof serverTable>>> = true
export const reconnect: Equal<Flat<ReconnectOptions>, Flat<Given<typeof reconnectTable>>> = true
export const session: Equal<Flat<SessionOptions>, Flat<Given<typeof sessionTable>>> = true
export const sessions: Equal<Flat<SessionsOptions>, Flat<Given<typeof sessionsTable>>> = true
export const topic: Equal<Flat<TopicOptions>, Flat<Given<typeof topicTable>>> = true
export const client: Equal<Flat<ClientOptions>, Flat<Given<Engine & Socket & typeof clientTable>>> = true
`

test('the public types are those of the tables', (t) => {
  t.deepEqual(complaints(proof), [])
  // The proof notices a difference.
  t.is(complaints(proof.replace('Flat<Given<Socket>>', "Flat<Given<Omit<Socket, 'lingerMs'>>>")).length, 1)
})

test('programs see the sentence of each option in the declarations of the package', async (t) => {
  const declarations = await readFile(join(root, 'dist', 'options', 'types.d.ts'), 'utf8')
  const words = declarations.replaceAll(/\s*\n\s*\*\s*/g, ' ').replaceAll(/\s+/g, ' ')
  for (const { name, option } of all) {
    const at = words.indexOf(` ${name}?: `)
    t.true(at > 0, name)
    // Between the option before it and its own name.
    t.true(words.slice(Math.max(0, words.lastIndexOf('?: ', at)), at).includes(option.text), name)
  }
})
