// Writes the page, its charts and its data files. The figures on the page stand between two marks; the text around them stays.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { noiseSentence } from '../lib/noise.mjs'
import { sections } from '../sections/index.mjs'
import { Charts } from './charts.mjs'
import { DataFiles } from './data_files.mjs'
import { marked, table } from './markdown.mjs'
import { between } from './marks.mjs'

const BEGIN = '<!-- What follows was written by `npm run perf`. -->'
const END = '<!-- What was written by `npm run perf` ends here. -->'

/**
 * @param {string} page path of the Markdown file
 * @param {Map<string, object>} results by section: `data`, `machine`, `noise`, `quick`, `measuredAt`
 * @param {((chart: object) => Promise<string>) | null} draw
 */
export async function writeReport(page, results, draw) {
  const folder = join(dirname(page), 'performance')
  const charts = new Charts(folder, draw)
  const data = new DataFiles(folder)
  const present = sections.filter(({ name }) => results.has(name))
  const parts = present.map((section) => {
    const text = section.render(results.get(section.name).data, { charts, data })
    return `## ${section.title}\n\n${text.trim().replaceAll(/\n{3,}/g, '\n\n')}`
  })
  const generated = [head(present, results), ...parts].join('\n\n')
  mkdirSync(dirname(page), { recursive: true })
  writeFileSync(page, placed(generated, page))
  await charts.write()
  data.write()
}

/** The page with its figures replaced; one without marks gets them behind its title. */
export function placed(generated, page) {
  const text = existsSync(page) ? readFileSync(page, 'utf8') : '# Performance\n'
  if (text.includes(BEGIN)) return between(text, BEGIN, END, generated)
  const afterTitle = text.indexOf('\n') + 1
  return `${text.slice(0, afterTitle)}\n${BEGIN}\n\n${generated}\n\n${END}\n${text.slice(afterTitle)}`
}

function head(present, results) {
  const all = present.map(({ name }) => results.get(name))
  const { machine } = all[0]
  const noteworthy = present.flatMap((section) => section.noteworthy(results.get(section.name).data))
  const noises = present.flatMap(({ name, title }) => {
    const sentence = noiseSentence(results.get(name).noise)
    return sentence === null ? [] : `- **${title}**: the machine was noisy: ${sentence}.`
  })
  const days = [...new Set(all.map(({ measuredAt }) => measuredAt.slice(0, 10)))].sort()
  const when = days.length === 1 ? `on ${days[0]}` : `from ${days[0]} to ${days.at(-1)}`
  return [
    `Measured ${when} with zerio ${machine.zerio} on ${machine.cpuCount} cores of ${machine.cpu}, ${machine.memoryGb} GB,`,
    `Linux ${machine.kernel}, Node.js ${machine.node}${machine.others}, over the loopback interface.`,
    'Machines differ, and a shared one differs from minute to minute: everything that is compared ran in turn, and what counts elsewhere are the ratios.',
    `[perf/README.md](../perf/README.md) says what each program does. \`npm install && npm run perf\` measures again, with nothing else running; a part of it: \`npm run perf -- --only ${present.map(({ name }) => name).join(',')}\`.`,
    ...(all.some(({ quick }) => quick) ? ['', '**A quick run: a first look, not a result.**'] : []),
    ...(noises.length === 0 ? [] : ['', ...noises]),
    ...(noteworthy.length === 0
      ? []
      : [
          '',
          'A ratio is the median of several rounds, and stands with an interval that holds it with a confidence of 93 % or more. A row is not decided when',
          'the aim lies inside of that; a noisy machine leaves more rows so.',
          '',
          table(
            ['what', 'ratio', 'interval', 'aim', ''],
            noteworthy.map(({ what, value, low, high, aim, decision }) => [
              what,
              `${value.toFixed(2)} ×`,
              // JSON has no infinity.
              Number.isFinite(low ?? Number.NaN)
                ? `${low.toFixed(2)} to ${high.toFixed(2)}`
                : 'too few rounds',
              aim,
              marked(decision)
            ])
          )
        ])
  ].join('\n')
}
