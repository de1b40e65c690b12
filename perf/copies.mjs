// How long the ways to copy a message into pool memory take, by its length: the reason for the limits in src/send_ring.ts.
// Run it by itself: node perf/copies.mjs
const ROUNDS = 3_000_000
const REGION_BYTES = 900_000
const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 }).buffer
const pool = Buffer.from(memory)

const ways = {
  loop(source, at, length) {
    for (let i = 0; i < length; i++) pool[at + i] = source[i]
  },
  set(source, at) {
    pool.set(source, at)
  },
  copyWithin(_source, at, length) {
    pool.copyWithin(at, REGION_BYTES + 1024, REGION_BYTES + 1024 + length)
  }
}

function measure(way, length) {
  const source = Buffer.alloc(length, 7)
  const start = process.hrtime.bigint()
  for (let round = 0, at = 0; round < ROUNDS; round++) {
    way(source, at, length)
    at += length + 4
    if (at > REGION_BYTES - length) at = 0
  }
  return Number(process.hrtime.bigint() - start) / ROUNDS
}

for (const warm of [true, false]) {
  for (const length of [4, 8, 12, 16, 24, 32, 48, 64, 128]) {
    const figures = Object.entries(ways).map(([name, way]) => `${name} ${measure(way, length).toFixed(1)} ns`)
    if (!warm) console.log(`${String(length).padStart(4)} B: ${figures.join(', ')}`)
  }
}
