// Garbage beside the times of mitata. In a package of yours: npm install mitata, and node mitata.mjs
import * as mitata from 'mitata'
import { withMitata } from 'zerio/gc/bench'
import { parseText, readBytes } from './parsers.mjs'

const { bench, run } = withMitata(mitata)
bench('parseText', parseText)
bench('readBytes', readBytes)
await run()
