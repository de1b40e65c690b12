// The core's ratios, each held against its limit.

import { atMost } from '../lib/aims.mjs'
import { interleave } from '../lib/interleave.mjs'
import { judge, measurementOf, percent } from '../lib/judge.mjs'
import { measuredPrograms } from '../lib/programs.mjs'
import { measurementTable, number, verdictTable } from '../lib/tables.mjs'
import { targets as allTargets, labelOf, limitOf, targetNames } from '../lib/targets.mjs'
import { failed, marked, repeated, table } from '../report/markdown.mjs'

/** @type {import('./index.mjs').Section} */
export const targets = {
  name: 'targets',
  title: 'Ratios',

  async run({ quick, repetitions, only, progress, print }) {
    const programs = measuredPrograms(quick)
    const selected = allTargets.filter(({ name }) => (only ?? targetNames).includes(name))
    const needed = new Set(selected.flatMap(({ program, reference }) => [program, reference]))
    const names = Object.keys(programs).filter((name) => needed.has(name))
    const results = new Map()
    const failures = {}
    for (const group of new Set(names.map((name) => programs[name].group))) {
      const members = names.filter((name) => programs[name].group === group)
      const runs = Object.fromEntries(members.map((name) => [name, once(programs[name])]))
      const outcome = await interleave(runs, repetitions, (line) => progress(`${group} ${line}`))
      for (const [name, values] of Object.entries(outcome.results)) {
        results.set(name, programs[name].runsOnce ? values.slice(0, 1) : values)
      }
      Object.assign(failures, outcome.failures)
    }
    const measurements = [...results].map(([name, runs]) => measurementOf(name, programs[name], runs))
    const verdicts = selected.map((target) => judge(target, programs, results))
    print(measurementTable(measurements))
    print(verdictTable(verdicts))
    const noisy = measurements
      .filter(({ program, isNoisy }) => isNoisy && programs[program].tellsNoise)
      .map(({ program, spread }) => `${program} varies by ${percent(spread)} between repetitions`)
    for (const sentence of noisy) print(`Noisy: ${sentence}.`)
    return {
      programs: Object.fromEntries(results),
      targets: verdicts.map(({ target, value, values, unit, decision, note }) => ({
        ...target,
        value,
        values,
        unit,
        decision,
        note
      })),
      noisy,
      failures,
      repetitions
    }
  },

  render({ targets, noisy, failures, repetitions }, { data }) {
    data.add(
      'ratios',
      targets.map(({ value, unit, decision, note, ...target }) => ({
        what: labelOf(target),
        compared_with: target.reference,
        value: value === null ? '' : Number(value.toFixed(4)),
        unit,
        aim: limitOf(target),
        decision: decision ?? '',
        note
      }))
    )
    const aims = targets.filter(({ value, decision }) => value === null || decision !== null)
    const reached = aims.filter(({ decision }) => decision === 'reached')
    const undecided = aims.filter(({ decision }) => decision === 'not decided')
    const shown = aims.filter(
      ({ name, decision }) => !['reached', 'not decided'].includes(decision) || name.endsWith('memory')
    )
    const namedValue = (target) => `${labelOf(target)} (${valueText(target)}, aim ${limitOf(target)})`
    const valueText = ({ value, unit, reference }) =>
      `${number(value, reference === undefined ? unit : '')} ${unit}`.trim()
    return [
      `What zerio is built to reach; ${repeated(repetitions)}. ${reached.length} of ${aims.length} aims were reached. ${data.link('ratios')}`,
      'Memory, and what was missed:',
      '',
      table(
        ['what', 'compared with', 'ratio or value', 'aim', ''],
        shown.map((target) => [
          labelOf(target),
          target.reference ?? '',
          target.value === null ? target.note : valueText(target),
          limitOf(target),
          marked(target.decision)
        ])
      ),
      '',
      ...(undecided.length === 0 ? [] : [`- not decided: ${undecided.map(namedValue).join('; ')}`]),
      ...(noisy.length === 0 ? [] : [`- ${noisy.join('; ')}`]),
      ...failed(failures)
    ].join('\n')
  },

  // The same that the table has, with a narrower aim.
  noteworthy: ({ targets }) =>
    [
      { metric: undefined, what: 'p50', aim: 1.08 },
      { metric: 'p99Us', what: 'p99', aim: 1.2 }
    ].flatMap(({ metric, what, aim }) => {
      const found = targets.find((one) => one.program === 'zerio manual' && one.metric === metric)
      return (found?.values ?? []).length === 0
        ? []
        : atMost(`round trip, \`manual\`, ${what}`, found.values, aim)
    })
}

// A program whose repetition would show nothing new gives the same result again.
function once(program) {
  let first
  return () => {
    if (!program.runsOnce) return program.run()
    first ??= program.run()
    return first
  }
}
