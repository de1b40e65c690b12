// Garbage beside the times of tinybench. In a package of yours: npm install tinybench, and node tinybench.mjs
import { Bench } from 'tinybench'
import { withTinybench } from 'zerio/gc/bench'
import { parseText, readBytes } from './parsers.mjs'

const bench = new Bench({ time: 100 })
const garbage = withTinybench(bench)
bench.add('parseText', parseText)
bench.add('readBytes', readBytes)
await bench.run()
console.table(bench.table())
console.table(await garbage.table())
