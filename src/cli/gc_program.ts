// What `zerio gc` runs: a file as `node <file>` does, Node.js with flags, or a command that starts Node.js.
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, extname, join, resolve } from 'node:path'
import { UsageError } from './flags.js'

export interface GcProgram {
  readonly command: string
  readonly args: readonly string[]
  /** Whether `args` begin with flags of Node.js, or with a file for it. */
  readonly isNode: boolean
}

const typeScript = new Set(['.ts', '.mts', '.cts'])

/** Throws a {@link UsageError} that says what to type instead. */
export function findProgram(words: readonly string[]): GcProgram {
  const [word, ...rest] = words
  if (word === 'node') return { command: process.execPath, args: rest, isNode: true }
  const file = isPlainWord(word) && !isFile(resolve(word)) ? undefined : resolved(word)
  if (file !== undefined) return programOfFile(word, file, rest)
  const command = isPlainWord(word) ? findCommand(word) : undefined
  if (command !== undefined) return { command, args: rest, isNode: false }
  if (resolved(word) !== undefined) return { command: process.execPath, args: words, isNode: true }
  throw new UsageError(`no program or command '${word}'`)
}

function programOfFile(word: string, file: string, rest: readonly string[]): GcProgram {
  const features = process.features as { typescript?: unknown }
  if (typeScript.has(extname(file)) && !features.typescript) {
    throw new UsageError(`this Node.js does not run TypeScript; try: zerio gc tsx ${word}`)
  }
  if (extname(file) === '' && isForeign(file)) return { command: file, args: rest, isNode: false }
  // Not the resolved path: process.argv[1] is what the user typed.
  return { command: process.execPath, args: [word, ...rest], isNode: true }
}

/** `tsx` and `npm` are; `./tsx` and `app.js` are not. */
function isPlainWord(word: string): boolean {
  return /^[\w@-]+$/.test(word)
}

/** As `node <word>` finds it. */
function resolved(word: string): string | undefined {
  try {
    return createRequire(resolve(word)).resolve(resolve(word))
  } catch {
    return undefined
  }
}

/** Binaries, and scripts whose first line names another program. */
function isForeign(file: string): boolean {
  const start = Buffer.alloc(64)
  const descriptor = openSync(file, 'r')
  try {
    readSync(descriptor, start, 0, start.length, 0)
  } finally {
    closeSync(descriptor)
  }
  const text = start.toString('latin1')
  return text.startsWith('\x7fELF') || (text.startsWith('#!') && !/\bnode\b/.test(text.split('\n')[0]))
}

/** As npm finds it: in the folders `node_modules/.bin` from here upward, then in PATH. */
function findCommand(word: string): string | undefined {
  // What npm installs there are batch files, which need a shell.
  if (process.platform === 'win32') return undefined
  const folders: string[] = []
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    folders.push(join(folder, 'node_modules', '.bin'))
    if (dirname(folder) === folder) break
  }
  folders.push(...(process.env.PATH ?? '').split(delimiter).filter(Boolean))
  return folders.map((folder) => join(folder, word)).find((file) => isFile(file) && isExecutable(file))
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
