// docs/architecture.md: the folders are those of the tree, the walk names functions that are there, each word has one meaning.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8')
const NAME = String.raw`(?:(\w+)(?:::|\.))?(#?\w+)`

function sectionOf(title) {
  const start = page.indexOf(`\n## ${title}\n`)
  const end = page.indexOf('\n## ', start + 1)
  return page.slice(start, end)
}

/** The walk's steps: each has its number, and what it names in the order of the text. */
function stepsOf(section) {
  return [...section.matchAll(/^(\d+)\. ([\s\S]*?)(?=\n\d+\. |\n\n)/gm)].map(([, number, text]) => ({
    number: Number(number),
    named: [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
  }))
}

function isFile(name) {
  return /^(src|addon)\/.*\.\w+$/.test(name)
}

/** Whether this source declares or defines the function, as a member of the class where one is named. */
function defines(source, className, name) {
  const method = name.replace('#', '')
  const isMember =
    className === undefined || new RegExp(`\\b(class|struct) (\\w+::)?${className}\\b`).test(source)
  const parameters = String.raw`\([^()]*(?:\([^()]*\)[^()]*)*\)`
  const definitions = [
    // TypeScript: a method, or a function.
    `^ *((export|async|override|static|private) )*(function )?#?${method}${parameters}(: [^\\n]*)? \\{$`,
    // C++: a type in front of the name, inside of the class or outside of any.
    `^ *(\\[\\[\\w+\\]\\] )?(?!return\\b)\\w[\\w:<>*& ]*[ *&]${method}${parameters}[^;{]*\\{`
  ]
  if (isMember && definitions.some((one) => new RegExp(one, 'm').test(source))) return true
  return className !== undefined && new RegExp(`\\b${className}::${method}\\(`).test(source)
}

/** What of a step is not there: files without each function that the step names, and files that do not exist. */
function missingOf({ named }) {
  const files = named.filter(isFile)
  const functions = named.filter((name) => !isFile(name) && new RegExp(`^${NAME}$`).test(name))
  const absent = files.filter((file) => !existsSync(join(root, file)))
  const sources = files
    .filter((file) => !absent.includes(file))
    .map((file) => readFileSync(join(root, file), 'utf8'))
  const nowhere = functions.filter((name) => {
    const [, className, own] = name.match(new RegExp(`^${NAME}$`))
    return !sources.some((source) => defines(source, className, own))
  })
  return [...absent, ...nowhere]
}

test('each step of the walk names a file and functions that it defines', (t) => {
  const steps = stepsOf(sectionOf('The walk of one message'))
  t.true(steps.length >= 15)
  for (const [i, step] of steps.entries()) {
    t.is(step.number, i + 1)
    t.true(isFile(step.named[0]), `step ${step.number} begins with ${step.named[0]}`)
    t.true(step.named.length >= 2, `step ${step.number} names no function`)
    t.deepEqual(missingOf(step), [], `step ${step.number}`)
  }
})

test('a file or a function that is not there is noticed', (t) => {
  const ring = 'src/engine/send_ring.ts'
  const loop = 'addon/binding/loop.cc'
  t.deepEqual(missingOf({ named: [ring, 'SendRing.sendAll', 'SendRing.#reserve', 'sendAll'] }), [])
  t.deepEqual(missingOf({ named: [ring, 'SendRing.sendNothing', 'NoRing.sendAll'] }), [
    'SendRing.sendNothing',
    'NoRing.sendAll'
  ])
  // Called there, and defined elsewhere.
  t.deepEqual(missingOf({ named: [ring, 'markDirty', loop, 'uv_idle_start'] }), [
    'markDirty',
    'uv_idle_start'
  ])
  t.deepEqual(missingOf({ named: ['src/nowhere.ts', loop, 'Loop::turn', 'Loop::nothing'] }), [
    'src/nowhere.ts',
    'Loop::nothing'
  ])
})

test('the table of folders has each folder of the tree, and no other', (t) => {
  const made = ['build', 'dist', 'node_modules', 'prebuilds']
  const foldersIn = (folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !made.includes(entry.name))
      .map(({ name }) => (folder === '.' ? name : `${folder}/${name}`))
  const rows = [...sectionOf('Overview').matchAll(/^\| (`.*?`) \| /gm)].map(([, cell]) => cell)
  const listed = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)\/`/g)].map(([, folder]) => folder))
  for (const folder of listed)
    t.true(statSync(join(root, folder), { throwIfNoEntry: false })?.isDirectory(), folder)
  const divided = ['addon', 'addon/io', 'lab', 'src', 'test']
  for (const folder of [...foldersIn('.'), ...divided.flatMap(foldersIn)]) {
    t.true(listed.includes(folder) || divided.includes(folder), folder)
  }
  t.is(new Set(listed).size, listed.length)
})

test('the glossary has one sentence for each word', (t) => {
  const rows = [...sectionOf('Words').matchAll(/^\| (?!---|word)([^|]+) \| ([^|]+) \|$/gm)]
  const words = rows.flatMap(([, words]) => words.split(', '))
  t.is(new Set(words).size, words.length)
  const wanted =
    'connection peer newcomer endpoint slot life slab ring front run batch turn event dispatch flush frame message'
  for (const word of wanted.split(' ')) t.true(words.includes(word), word)
  for (const [, word, meaning] of rows) t.regex(meaning, /^(?!.*[.!?] ).*\.$/, word)
})
