// Writes the page: what is generated stands between two marks, and what was written by hand around them stays.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { noiseSentence } from '../lib/noise.mjs'
import { sections } from '../sections/index.mjs'
import { Charts } from './charts.mjs'
import { table } from './markdown.mjs'

const BEGIN = '<!-- What follows was written by `npm run perf`. -->'
const END = '<!-- What was written by `npm run perf` ends here. -->'

/**
 * @param {string} page path of the Markdown file
 * @param {Map<string, object>} results by section: `data`, `machine`, `noise`, `quick`, `measuredAt`
 * @param {((chart: object) => Promise<string>) | null} draw
 */
export async function writeReport(page, results, draw) {
  const charts = new Charts(join(dirname(page), 'performance'), draw)
  const present = sections.filter(({ name }) => results.has(name))
  const parts = present.map((section) => {
    const { data } = results.get(section.name)
    return `## ${section.title}\n\n${section.render(data, charts).trim()}\n`
  })
  const generated = [BEGIN, head(present, results), ...parts, END].join('\n\n')
  mkdirSync(dirname(page), { recursive: true })
  writeFileSync(page, placed(generated, page))
  await charts.write()
}

/** The page with its generated part replaced; without marks it comes after the title. */
export function placed(generated, page) {
  if (!existsSync(page)) return `# Performance\n\n${generated}\n`
  const text = readFileSync(page, 'utf8')
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin >= 0 && end > begin) return text.slice(0, begin) + generated + text.slice(end + END.length)
  const afterTitle = text.indexOf('\n') + 1
  return `${text.slice(0, afterTitle)}\n${generated}\n${text.slice(afterTitle)}`
}

function head(present, results) {
  const all = present.map(({ name }) => results.get(name))
  const { machine } = all[0]
  const noteworthy = present.flatMap((section) => section.noteworthy(results.get(section.name).data))
  const noises = present.flatMap(({ name, title }) => {
    const sentence = noiseSentence(results.get(name).noise)
    return sentence === null ? [] : `- **${title}**: the machine was too noisy to conclude: ${sentence}.`
  })
  return [
    `Measured on ${all.at(-1).measuredAt.slice(0, 10)} with zerio ${machine.zerio} on ${machine.cpuCount} cores of ${machine.cpu},`,
    `${machine.memoryGb} GB, Linux ${machine.kernel}, Node.js ${machine.node}${machine.others}, over the loopback interface.`,
    'Machines differ, and a shared one differs from minute to minute: everything that is compared ran in turn, and what counts',
    'elsewhere are the ratios.',
    ...(all.some(({ quick }) => quick) ? ['', '**A quick run: a first look, not a result.**'] : []),
    ...(noises.length === 0 ? [] : ['', ...noises]),
    '',
    'To repeat it, with nothing else running:',
    '',
    '```sh',
    'npm install && npm run perf',
    '```',
    '',
    `A part of it: \`npm run perf -- --only ${present.map(({ name }) => name).join(',')}\`. [perf/README.md](../perf/README.md) says what each`,
    'program does.',
    ...(noteworthy.length === 0
      ? []
      : [
          '',
          table(
            ['what', 'ratio', 'aim', ''],
            noteworthy.map(({ what, value, aim, passes }) => [
              what,
              `${value.toFixed(2)} ×`,
              aim,
              passes ? 'reached' : '**missed**'
            ])
          )
        ])
  ].join('\n')
}
