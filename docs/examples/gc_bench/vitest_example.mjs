// Garbage beside the times of Vitest's bench. In a package of yours, name the file parsers.bench.mjs and run: npx vitest bench --run

import { describe, bench as timeOnly } from 'vitest'
import { withVitest } from 'zerio/gc/bench'
import { parseText, readBytes } from './parsers.mjs'

const bench = withVitest(timeOnly)

describe('a price', () => {
  bench('parseText', parseText, { time: 100 })
  bench('readBytes', readBytes, { time: 100 })
})
