// Draws charts as SVG with Vega-Lite.
import { parse, View } from 'vega'
import { compile } from 'vega-lite'

const WIDTH = 560
const HEIGHT = 300

const axis = ({ field, title, log }) => ({
  field,
  title,
  type: 'quantitative',
  scale: log ? { type: 'log' } : { zero: true },
  axis: { format: '~s' }
})
const series = { field: 'series', type: 'nominal', title: null, sort: null }

const kinds = {
  lines: ({ x, y }) => ({
    width: WIDTH,
    height: HEIGHT,
    mark: { type: 'line', point: true },
    encoding: { x: axis(x), y: axis(y), color: series }
  }),
  percentiles: () => ({
    width: WIDTH,
    height: HEIGHT,
    mark: { type: 'line', interpolate: 'step-after' },
    encoding: {
      x: {
        field: 'inverse',
        type: 'quantitative',
        title: 'percentile',
        scale: { type: 'log' },
        axis: {
          values: [1, 2, 10, 100, 1000, 10000, 100000],
          labelExpr: "datum.value === 1 ? '0' : format(100 - 100 / datum.value, '~g') + ' %'"
        }
      },
      y: axis({ field: 'us', title: 'µs', log: true }),
      color: { ...series, field: 'program' }
    }
  })
}

/**
 * @param {{ title: string, kind: 'lines' | 'percentiles', x?: object, y?: object, rows: object[] }} chart
 * @returns {Promise<string>} SVG
 */
export async function drawChart(chart) {
  const specification = {
    title: chart.title,
    background: 'white',
    padding: 8,
    data: { values: chart.rows },
    ...kinds[chart.kind](chart)
  }
  const view = new View(parse(compile(specification).spec), { renderer: 'none' })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}
