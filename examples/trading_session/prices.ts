// The real prices that are replayed: S&P 500 days and the monthly prices of five stocks, in order of date.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface PriceSeries {
  readonly length: number
  readonly symbols: readonly string[]
  readonly symbol: Int32Array
  readonly day: Int32Array
  readonly price: Float64Array
  readonly volume: Float64Array
}

interface Row {
  symbol: string
  day: number
  price: number
  volume: number
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Reads both series into typed arrays: an array of row objects would box every price. */
export function loadPrices(): PriceSeries {
  // The package exports only its entry point, so the data files are found from there.
  const folder = join(dirname(require.resolve('vega-datasets')), '..', 'data')
  const rows = [
    ...readCsv(join(folder, 'sp500-2000.csv')).map(([date, , , , close, , volume]) => ({
      symbol: 'S&P 500',
      day: Number(date.replaceAll('-', '')),
      price: Number(close),
      volume: Number(volume)
    })),
    ...readCsv(join(folder, 'stocks.csv')).map(([symbol, date, price]) => ({
      symbol,
      day: dayOf(date),
      price: Number(price),
      volume: 0
    }))
  ].sort((a, b) => a.day - b.day)
  return pack(rows)
}

function readCsv(path: string): string[][] {
  const [, ...lines] = readFileSync(path, 'utf8').trim().split('\n')
  return lines.map((line) => line.trim().split(','))
}

/** 'Jan 1 2000' -> 20000101 */
function dayOf(date: string): number {
  const [month, day, year] = date.split(' ')
  return Number(year) * 10_000 + (months.indexOf(month) + 1) * 100 + Number(day)
}

function pack(rows: Row[]): PriceSeries {
  const symbols = [...new Set(rows.map((row) => row.symbol))]
  const series = {
    length: rows.length,
    symbols,
    symbol: Int32Array.from(rows, (row) => symbols.indexOf(row.symbol)),
    day: Int32Array.from(rows, (row) => row.day),
    price: Float64Array.from(rows, (row) => row.price),
    volume: Float64Array.from(rows, (row) => row.volume)
  }
  if (!series.price.every((price) => price > 0) || !series.volume.every((volume) => volume >= 0)) {
    throw new Error('vega-datasets has a price row that is not a number')
  }
  return series
}
