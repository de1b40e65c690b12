// CONTRIBUTING.md: every path on it exists and has what its walk says, every folder of tests is on its map, and its commands can be followed.
// scripts/follow_contributing.mjs runs them in a fresh clone.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { blocksOf } from '../../scripts/follow_contributing.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path) => readFileSync(`${root}${path}`, 'utf8')
const page = read('CONTRIBUTING.md')
const { scripts } = JSON.parse(read('package.json'))

function section(title) {
  const rest = page.slice(page.indexOf(`\n${title}\n`) + 1)
  const end = rest.slice(title.length).search(/^#{2,3} /m)
  return end < 0 ? rest : rest.slice(0, title.length + end)
}

test('every path exists', (t) => {
  const paths = [...page.matchAll(/`((?:src|addon|test|lab|docs|examples|scripts|perf)\/[\w./-]*)`/g)]
  t.true(paths.length > 40)
  for (const [, path] of paths) t.true(existsSync(`${root}${path}`), path)
  const links = [...page.matchAll(/\]\(([\w./]+)(?:#[\w-]+)?\)/g)]
  t.true(links.length > 0)
  for (const [, link] of links) t.true(existsSync(`${root}${link}`), link)
})

test('every npm script exists', (t) => {
  const names = [...page.matchAll(/npm run (?:--silent )?([\w:]+)/g)].map(([, name]) => name)
  t.true(names.length > 8)
  for (const name of names) t.true(name in scripts, name)
})

for (const folder of ['test', 'lab']) {
  test(`the map has every folder of ${folder}/`, (t) => {
    const names = readdirSync(`${root}${folder}`, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory()
    )
    for (const { name } of names) t.true(page.includes(`\`${folder}/${name}/\``), name)
  })
}

test("an option's walk passes the files that know it, and a control frame's those that know that", (t) => {
  const walks = [
    ['### Adding an option', /heartbeat/i, 11],
    ['### Adding a control frame', /ping|control|opcode|event/i, 14]
  ]
  for (const [title, word, least] of walks) {
    const files = [...section(title).matchAll(/`((?:src|addon|test|lab|docs)\/[\w./-]+\.\w+)`/g)].map(
      ([, file]) => file
    )
    t.true(files.length >= least, `${title}: ${files.length}`)
    for (const file of files) t.regex(read(file), word, file)
  }
})

test('every block of commands is run', async (t) => {
  t.true(blocksOf(page).length >= 8)
  t.is(blocksOf(page).filter(({ isLong }) => isLong).length, 1)
  t.throws(() => blocksOf('```sh\nls\n```\n'), { message: /^CONTRIBUTING\.md:1: / })
  const { stdout } = await promisify(execFile)(process.execPath, [
    `${root}scripts/follow_contributing.mjs`,
    '--list'
  ])
  t.true(stdout.startsWith('npm install\nnpm run build\n'))
})
