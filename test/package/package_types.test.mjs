// The packed package in a project of its own: its types and its files are found by every resolver, under the strictest flags.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const strict = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  isolatedModules: true,
  skipLibCheck: false,
  noEmit: true,
  target: 'es2022',
  lib: ['es2022'],
  types: ['node']
}

const consumer = `
import {
  type Address, type ClientAddress, type ClientOptions, type ServerAddress, type ServerOptions, ZerioClient, ZerioError, ZerioServer
} from 'zerio'
import { type GcMeasureOptions, GcProbe } from 'zerio/gc'

type Given<T> = { [K in keyof Required<T>]: Required<T>[K] | undefined }
declare const serverOptions: Given<ServerOptions>
declare const clientOptions: Given<ClientOptions>
declare const measureOptions: Given<GcMeasureOptions>
declare const details: Given<NonNullable<ConstructorParameters<typeof ZerioError>[2]>>
declare const host: string | undefined
declare const channel: number | undefined

const address: Address = { host, port: 0 }
export const server = new ZerioServer(address, serverOptions)
export const client = new ZerioClient({ host, port: 1 }, clientOptions)
export const probe = new GcProbe({ samplingBytes: measureOptions.samplingBytes })
export const report = GcProbe.measure((i) => i, measureOptions)
export const error = new ZerioError('ZERIO_BAD_OPTION', 'Text.', details)
export const sent = client.send(new Uint8Array(1), channel)
export const none = new ZerioServer(0, undefined)
const places: readonly ServerAddress[] = [1, address, { path: 'socket' }, { fd: 3 }]
export const several = new ZerioServer(places)
const near: ClientAddress = { path: 'socket' }
export const neighbour = new ZerioClient(near, { localAddress: { host: '127.0.0.1' } })
// @ts-expect-error a client adopts no descriptor
export const adopting = new ZerioClient({ fd: 3 })
// @ts-expect-error null is a value, and not one of a host
export const wrong: Address = { host: null, port: 0 }
`

const kinds = {
  node10: [['ts'], { module: 'commonjs', moduleResolution: 'node10' }],
  node16: [['cts', 'mts'], { module: 'node16' }],
  nodenext: [['ts', 'mts'], { module: 'nodenext' }],
  bundler: [['ts'], { module: 'esnext', moduleResolution: 'bundler', verbatimModuleSyntax: true }]
}

let folder
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zerio-types-'))
  const installed = join(folder, 'node_modules', 'zerio')
  await mkdir(installed, { recursive: true })
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root
  })
  const [{ filename }] = JSON.parse(stdout)
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components', '1'])
  await symlink(join(root, 'node_modules', '@types'), join(folder, 'node_modules', '@types'))
  await writeFile(join(folder, 'package.json'), '{ "name": "app", "private": true }')
  for (const extension of ['ts', 'cts', 'mts'])
    await writeFile(join(folder, `consumer.${extension}`), consumer)
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

/** Files that are the same for all, parsed once. */
const parsed = new Map()
function parseOnce(host) {
  const { getSourceFile } = host
  host.getSourceFile = (file, ...more) => {
    if (!isOfOthers(file)) return getSourceFile(file, ...more)
    if (!parsed.has(file)) parsed.set(file, getSourceFile(file, ...more))
    return parsed.get(file)
  }
  return host
}
const isOfOthers = (file) => /\/(typescript\/lib|@types|undici-types)\//.test(file)

for (const [name, [extensions, own]] of Object.entries(kinds)) {
  test(`a program compiles: ${name}`, (t) => {
    const { options, errors } = ts.convertCompilerOptionsFromJson({ ...strict, ...own }, folder)
    const files = extensions.map((extension) => join(folder, `consumer.${extension}`))
    const program = ts.createProgram(files, options, parseOnce(ts.createCompilerHost(options)))
    const found = [...errors, ...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics()]
    for (const file of program.getSourceFiles()) {
      if (isOfOthers(file.fileName)) continue
      found.push(...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file))
    }
    const text = (one) => `${one.file?.fileName}: ${ts.flattenDiagnosticMessageText(one.messageText, ' ')}`
    t.deepEqual(found.map(text), [])
    t.true(program.getSourceFiles().some(({ fileName }) => fileName.includes('zerio/dist/gc/')))
  })
}

test('a resolver that does not know exports finds the same objects', (t) => {
  const require = createRequire(join(folder, 'app.js'))
  const installed = join(folder, 'node_modules', 'zerio')
  // What it does: the folder's own package.json, and its main.
  t.is(require(join(installed, 'gc')), require('zerio/gc'))
  t.is(require(join(installed, 'gc', 'bench')), require('zerio/gc/bench'))
  t.is(require(installed), require('zerio'))
})
