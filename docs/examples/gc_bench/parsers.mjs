// What the examples of benchmarks compare: two ways to read a price.
const text = '{"price":101.25}'
const bytes = new DataView(new ArrayBuffer(8))
bytes.setFloat64(0, 101.25)
const sum = new Float64Array(1)

export function parseText() {
  sum[0] += JSON.parse(text).price
}

export function readBytes() {
  sum[0] += bytes.getFloat64(0)
}
