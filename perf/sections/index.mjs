// The parts of the report, in their order.
import { against } from './against.mjs'
import { churn } from './churn.mjs'
import { fanOut } from './fan_out.mjs'
import { garbage } from './garbage.mjs'
import { growth } from './growth.mjs'
import { long } from './long.mjs'
import { mostPeers } from './most_peers.mjs'
import { ordinary } from './ordinary.mjs'
import { roundTrip } from './round_trip.mjs'
import { slowConsumers } from './slow_consumers.mjs'
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
 * @typedef {object} Report what belongs to the page
 * @property {import('../report/charts.mjs').Charts} charts
 * @property {import('../report/data_files.mjs').DataFiles} data
 *
 * @typedef {object} Section
 * @property {string} name what --only knows it by, and its results file
 * @property {string} title
 * @property {(context: Context) => Promise<object>} run everything measured, as it is kept in JSON; `failures` in it says
 *   what did not run
 * @property {(data: object, report: Report) => string} render Markdown for people, while all figures go to the data files
 * @property {(data: object) => import('../lib/aims.mjs').Aim[]} noteworthy ratios for the
 *   summary
 */

/** @type {Section[]} */
export const sections = [
  targets,
  roundTrip,
  throughput,
  long,
  fanOut,
  slowConsumers,
  growth,
  mostPeers,
  churn,
  ordinary,
  garbage,
  against
]
