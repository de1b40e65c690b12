// The parts of the report, in their order.
import { against } from './against.mjs'
import { fanOut } from './fan_out.mjs'
import { garbage } from './garbage.mjs'
import { growth } from './growth.mjs'
import { ordinary } from './ordinary.mjs'
import { roundTrip } from './round_trip.mjs'
import { targets } from './targets.mjs'
import { throughput } from './throughput.mjs'

/**
 * @typedef {object} Context
 * @property {boolean} quick
 * @property {number} repetitions of the targets
 * @property {string[]} [only] targets
 * @property {string[]} backends
 * @property {string} folder for files beside the results
 * @property {(line: string) => void} progress
 * @property {(text: string) => void} print
 *
 * @typedef {object} Section
 * @property {string} name what --only knows it by, and its results file
 * @property {string} title
 * @property {(context: Context) => Promise<object>} run everything measured, as it is kept in JSON; `failures` in it says
 *   what did not run
 * @property {(data: object, charts: import('../report/charts.mjs').Charts) => string} render Markdown
 * @property {(data: object) => { what: string, value: number, aim: string, passes: boolean }[]} noteworthy ratios for the
 *   summary
 */

/** @type {Section[]} */
export const sections = [targets, roundTrip, throughput, fanOut, growth, ordinary, garbage, against]
