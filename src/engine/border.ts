// Compares the numbers of layout.ts with those that the addon was built with, all of them and in both directions.
import * as layout from './layout.js'

/** What the compiler makes of an enum: its values by their names, and its names by their values. */
type Enumeration = Readonly<Record<string, number | string>>

const enumerations = layout as unknown as Readonly<Record<string, Enumeration>>

/** The names of an enumeration of layout.ts, in the order of their values. */
export function namesOf(enumeration: string): string[] {
  const values = Object.entries(enumerations[enumeration]).filter(([, value]) => typeof value === 'number')
  return values.sort(([, one], [, other]) => Number(one) - Number(other)).map(([name]) => name)
}

/** All numbers of layout.ts, under names such as `SlotWord.Tail`. */
export function borderTable(): Map<string, number> {
  const table = new Map<string, number>()
  for (const enumeration of Object.keys(enumerations)) {
    for (const name of namesOf(enumeration))
      table.set(`${enumeration}.${name}`, Number(enumerations[enumeration][name]))
  }
  return table
}

/** The first name that only one side has, or whose numbers differ; undefined when both are of the same build. */
export function borderMismatch(theirs: Readonly<Record<string, number>> | undefined): string | undefined {
  const ours = borderTable()
  for (const [name, value] of ours) if (theirs?.[name] !== value) return name
  return Object.keys(theirs ?? {}).find((name) => !ours.has(name))
}
