// docs/equivalents.md has each function of uSockets and ValveSockets, and only names of zerio that exist.
import { readFile } from 'node:fs/promises'
import test from 'ava'
import { CloseCode, DisconnectReason, SendStatus, StatusField, Waker, ZerioClient, ZerioServer } from 'zerio'
import { startPair } from '../helpers/link.mjs'

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = await read('docs/equivalents.md')
const theirs = JSON.parse(await read('test/package/equivalents.json'))

const rows = page.split('\n').flatMap((line) => {
  const [, left, right] = /^\| (.*?) \| (.*) \|$/.exec(line) ?? []
  return left === undefined || left === '---' ? [] : [{ left, right }]
})
const spans = (text) => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1])

/** What is no name of zerio. */
const WORDS = new Set(['NODE_DEBUG=zerio', '{ host, port }', "host: '127.0.0.1'", 'localhost'])

const propertiesOf = (name, object) => [
  ...Object.getOwnPropertyNames(object).map((property) => `${name}.${property}`),
  ...(Object.getPrototypeOf(object) === null ? [] : propertiesOf(name, Object.getPrototypeOf(object)))
]

const matchesIn = async (files, pattern) => {
  const text = (await Promise.all(files.map(read))).join('\n')
  return [...text.matchAll(pattern)].map((match) => match[1])
}

/** All names of zerio, as a program would write them. */
async function namesOf({ server, client, peer }) {
  const reason = new DisconnectReason(CloseCode.Normal, '', 0, false)
  const members = Object.entries({
    server,
    client,
    peer,
    reason,
    engine: server.engine,
    waker: server.engine.waker,
    buffer: Buffer.prototype
  })
  const enums = Object.entries({ SendStatus, StatusField, CloseCode })
  return new Set([
    ...[ZerioServer, ZerioClient, Waker].flatMap((one) =>
      Object.getOwnPropertyNames(one).map((name) => `${one.name}.${name}`)
    ),
    ...members.flatMap(([name, object]) => propertiesOf(name, object)),
    ...enums.flatMap(([name, object]) => Object.keys(object).map((member) => `${name}.${member}`)),
    ...[peer, server, server.engine].flatMap(({ counters }) => counters.names),
    ...(await matchesIn(['src/index.mts'], /^ {2}(?:type )?(\w+),?$/gm)),
    ...(await matchesIn(['src/options/types.ts'], /^ {2}(\w+)\?: /gm)),
    ...(await matchesIn(
      ['src/server_events.ts', 'src/connecting/client_events.ts'],
      /^ {2}(\w+): \[.*\]$/gm
    )),
    ...(await matchesIn(['src/errors.ts', 'src/reason.ts'], /'(ZERIO_[A-Z_]+)'/g)),
    ...(await matchesIn(
      ['src/connecting/client_events.ts', 'src/peer.ts', 'src/options/types.ts'],
      /('\w+')/g
    ))
  ])
}

test('each function and field of theirs is in the page once', (t) => {
  const found = rows.flatMap(({ left }) => spans(left))
  const wanted = [...theirs.uSockets, ...theirs.ValveSockets]
  t.true(theirs.uSockets.length > 40 && theirs.ValveSockets.length > 120)
  t.deepEqual(found.toSorted(), wanted.toSorted())
})

test('each name of zerio in the page exists', async (t) => {
  const names = await namesOf(await startPair(t))
  const found = rows.flatMap(({ right }) => spans(right)).map((span) => span.replace(/\(\)$/, ''))
  t.true(found.length > 150)
  for (const name of found)
    t.true(names.has(name) || name in globalThis || WORDS.has(name), `\`${name}\` is no name of zerio`)
})
