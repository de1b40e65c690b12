// docs/api.md leaves nothing out: every public name, method with all its forms, property, event and counter is in the section of its class.
import { EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import test from 'ava'
import * as zerio from 'zerio'
import { startPair } from '../helpers/link.mjs'

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = await read('docs/api.md')

/** From a heading to the next one of the same or a higher level. */
function section(title) {
  const lines = page.replaceAll(/^```[\s\S]*?^```$/gm, '').split('\n')
  const level = (line) => /^(#+) /.exec(line)?.[1].length ?? Number.POSITIVE_INFINITY
  const first = lines.findIndex((line) => line.replace(/^#+ /, '') === title && level(line) <= 3)
  if (first < 0) throw new Error(`docs/api.md has no section "${title}"`)
  const end = lines.findIndex((line, at) => at > first && level(line) <= level(lines[first]))
  return lines.slice(first, end < 0 ? undefined : end).join('\n')
}

/** What stands in backticks. */
const spans = (text) => new Set([...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]))

/** A section names things in the first cells of its tables and in its sentences; other cells talk of others. */
function namesIt(t, title, expected) {
  const found = spans(section(title).replaceAll(/^(\| [^|]* \|).*/gm, '$1'))
  t.true(expected.length > 0, title)
  for (const one of expected) t.true(found.has(one), `docs/api.md, ${title}: \`${one}\``)
}

/** Public properties of an object and of its classes, own ones and inherited ones, but not those of `beyond`. */
function membersOf(object, beyond) {
  const names = []
  for (let at = object; at !== beyond && at !== Object.prototype; at = Object.getPrototypeOf(at))
    names.push(...Object.getOwnPropertyNames(at))
  return [...new Set(names)].filter((name) => name !== 'constructor' && !name.startsWith('_'))
}

/** The classes that servers and clients have in common, by name: their files. */
const bases = {
  Endpoint: 'endpoint',
  ReceivingClient: 'client_receiving',
  SendingClient: 'client_sending',
  SendingPeer: 'peer_sending'
}

/** Methods and constructors as they are declared, with the names of their parameters; those of what it extends, too. */
async function formsOf(file, name) {
  const declarations = await read(`dist/${file}.d.ts`)
  const start = declarations.search(new RegExp(`^export declare (abstract )?class ${name}\\b`, 'm'))
  const body = declarations.slice(start, declarations.indexOf('\n}', start))
  const own = [...body.matchAll(/^ {4}(?:abstract )?(\w+|\[Symbol\.\w+\])\((.*?)\)(?:: [^()]*)?;$/gm)].map(
    ([, method, parameters]) => {
      const names = [...parameters.matchAll(/(?:^|, )(\w+\??): /g)].map((match) => match[1]).join(', ')
      return method === 'constructor' ? `new ${name}(${names})` : `${method}(${names})`
    }
  )
  const base = /^.* extends (\w+)/.exec(body)?.[1]
  if (!(base in bases)) return own
  const names = new Set(own.map(withoutArguments))
  const common = (await formsOf(bases[base], base)).filter((form) => !names.has(withoutArguments(form)))
  return [...own, ...common.filter((form) => !form.startsWith('new '))]
}

const withoutArguments = (form) => form.replace(/^new .*|\(.*/, '')

async function isComplete(t, title, object, beyond, file) {
  const forms = await formsOf(file, title)
  const methods = new Set(forms.map(withoutArguments))
  const members = membersOf(object, beyond)
  namesIt(t, title, [...forms, ...members.filter((member) => !methods.has(member))])
  for (const member of members)
    if (typeof object[member] === 'function') t.true(methods.has(member), `${title}.${member} is declared`)
}

test('every exported name, those of types too', async (t) => {
  const types = [...(await read('src/index.mts')).matchAll(/^ {2}(?:type )?(\w+),?$/gm)].map(
    (match) => match[1]
  )
  const values = Object.keys(zerio).filter((name) => name !== '__esModule' && name !== 'module.exports')
  t.deepEqual(
    values.filter((name) => !types.includes(name)),
    []
  )
  const found = spans(page)
  for (const name of types) t.true(found.has(name), name)
})

test('every method, property and event of servers, clients and peers', async (t) => {
  const { server, client, peer } = await startPair(t)
  const emitter = EventEmitter.prototype
  await isComplete(t, 'ZerioServer', server, emitter, 'server')
  await isComplete(t, 'ZerioClient', client, emitter, 'client')
  await isComplete(t, 'Peer', peer, Object.prototype, 'peer')
  const [end, otherEnd] = await zerio.createPair()
  t.teardown(() => [end, otherEnd].map((one) => one.terminate()))
  await isComplete(t, 'PairEnd', end, emitter, 'pair')
  await isComplete(t, 'Topic', server.topic('topic'), Object.prototype, 'topics/topic')
  const waker = ['EngineWaker', 'PostedWaker', 'onWake', 'number', 'wake()', 'Waker.from(posted)']
  namesIt(t, 'Waker', waker)
  for (const [title, file, map] of [
    ['PairEnd', 'pair', 'PairEventMap'],
    ['ZerioServer', 'server_events', 'ServerEventMap'],
    ['ZerioClient', 'connecting/client_events', 'ClientEventMap']
  ]) {
    const source = await read(`src/${file}.ts`)
    const [, body] = new RegExp(`interface ${map} {\n([^}]*)\n}`).exec(source.replaceAll(/\{@link.*?\}/g, ''))
    const events = [...body.matchAll(/^ {2}(\w+): \[(.*)\]$/gm)].map(
      ([, event, parameters]) =>
        `${event}(${[...parameters.matchAll(/(\w+): /g)].map((match) => match[1]).join(', ')})`
    )
    t.true(events.length >= 2)
    namesIt(t, title, events)
  }
  const [, info] = /interface EngineInfo {([\s\S]*?)\n}/.exec(await read('src/engine/engine.ts'))
  namesIt(
    t,
    'EngineInfo',
    [...info.matchAll(/readonly (\w+):/g)].map((match) => match[1])
  )
  namesIt(t, 'Receiving', ['PoolBuffer', 'buffer.view'])

  await isComplete(t, 'Counters', peer.counters, Object.prototype, 'counters')
  for (const counters of [
    peer.counters,
    server.counters,
    server.engine.counters,
    server.topic('topic').counters
  ])
    namesIt(t, counters.constructor.name, [...counters.names])
})

test('every member of what else is exported', async (t) => {
  namesIt(t, 'SendStatus', Object.keys(zerio.SendStatus))
  namesIt(t, 'CloseCode', Object.keys(zerio.CloseCode))
  namesIt(t, 'StatusField', Object.keys(zerio.StatusField))
  for (const [name, value] of Object.entries(zerio.SendStatus))
    t.true(section('SendStatus').includes(`| \`${name}\` | ${value} |`), name)
  for (const [name, value] of Object.entries(zerio.CloseCode)) {
    if (name.startsWith('Application')) continue
    const { code } = new zerio.DisconnectReason(value, '', 0, false)
    t.true(section('CloseCode').includes(`| \`${name}\` | ${value} | \`${code}\` |`), name)
  }
  const reason = new zerio.DisconnectReason(zerio.CloseCode.Normal, '', 0, false)
  await isComplete(t, 'DisconnectReason', reason, Object.prototype, 'reason')
  const details = { syscall: 'connect', address: '127.0.0.1', port: 1, cause: 0, errors: [] }
  const error = new zerio.ZerioError('ZERIO_STOPPED', 'Stopped.', details)
  const { stack, ...own } = Object.getOwnPropertyDescriptors(error)
  namesIt(t, 'ZerioError', [...Object.keys(own), ...(await formsOf('errors', 'ZerioError'))])
  namesIt(t, 'readClock', ['readClock(target, index?)'])
  namesIt(t, 'createPair', ['createPair(options?)'])
})

test('behaviour.md has every code of zerio', async (t) => {
  const behaviour = spans(await read('docs/behaviour.md'))
  const source = (await read('src/errors.ts')) + (await read('src/reason.ts'))
  const codes = new Set([...source.matchAll(/'(ZERIO_[A-Z_]+)'/g)].map((match) => match[1]))
  t.true(codes.size > 30)
  // Their reasons always have the system's code instead.
  for (const code of ['ZERIO_CONNECTION_LOST', 'ZERIO_CONNECT_FAILED']) codes.delete(code)
  for (const code of codes) t.true(behaviour.has(code), code)
})
