// How long the ways to copy a message into pool memory take, by its length: the reason for the limits in src/engine/send_ring.ts.
// Run it by itself: node perf/copies.mjs
const ROUNDS = 3_000_000
const REGION_BYTES = 900_000
const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 }).buffer
const pool = new Uint8Array(memory)
const poolWords = new Int32Array(memory)

const ways = {
  loop(source, at, length) {
    for (let i = 0; i < length; i++) pool[at + i] = source[i]
  },
  words(_source, at, length, sourceWords) {
    const begin = at >> 2
    const count = length >> 2
    let i = 0
    for (; i < count - 3; i += 4) {
      poolWords[begin + i] = sourceWords[i]
      poolWords[begin + i + 1] = sourceWords[i + 1]
      poolWords[begin + i + 2] = sourceWords[i + 2]
      poolWords[begin + i + 3] = sourceWords[i + 3]
    }
    for (; i < count; i++) poolWords[begin + i] = sourceWords[i]
  },
  set(source, at) {
    pool.set(source, at)
  },
  copyWithin(_source, at, length) {
    pool.copyWithin(at, REGION_BYTES + 1024, REGION_BYTES + 1024 + length)
  }
}

function measure(way, length) {
  const source = Buffer.from(new ArrayBuffer(length))
  const sourceWords = new Int32Array(source.buffer)
  const start = process.hrtime.bigint()
  for (let round = 0, at = 0; round < ROUNDS; round++) {
    way(source, at, length, sourceWords)
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
