// A histogram of whole numbers from 0 to 2^31 - 1 with an error below 1 %, in memory that is allocated once.

const subBuckets = 128
const buckets = 24 * subBuckets + subBuckets

export class Histogram {
  private readonly counts = new Int32Array(buckets)
  count = 0
  max = 0

  record(value: number): void {
    this.counts[bucketOf(value)]++
    this.count++
    if (value > this.max) this.max = value
  }

  /** The smallest value that at least this fraction of the records does not exceed (within the error). */
  quantile(fraction: number): number {
    const rank = Math.max(1, Math.ceil(fraction * this.count))
    let seen = 0
    for (let bucket = 0; bucket < buckets; bucket++) {
      seen += this.counts[bucket]
      if (seen >= rank) return Math.min(upperBound(bucket), this.max)
    }
    return this.max
  }

  add(other: Histogram): void {
    for (let bucket = 0; bucket < buckets; bucket++) this.counts[bucket] += other.counts[bucket]
    this.count += other.count
    if (other.max > this.max) this.max = other.max
  }

  /** The buckets that are not empty, for {@link addEntries} in another process. */
  entries(): [bucket: number, count: number][] {
    const entries: [number, number][] = []
    for (let bucket = 0; bucket < buckets; bucket++) {
      if (this.counts[bucket] > 0) entries.push([bucket, this.counts[bucket]])
    }
    return entries
  }

  /** Adds what {@link entries} of another histogram gave; `max` becomes that of its last bucket. */
  addEntries(entries: readonly (readonly [bucket: number, count: number])[]): void {
    for (const [bucket, count] of entries) {
      this.counts[bucket] += count
      this.count += count
      this.max = Math.max(this.max, upperBound(bucket))
    }
  }

  clear(): void {
    this.counts.fill(0)
    this.count = 0
    this.max = 0
  }
}

/** Below 256 each value has its own bucket; above, each power of two is divided into 128 of them. */
function bucketOf(value: number): number {
  if (value < 2 * subBuckets) return value
  const shift = 24 - Math.clz32(value)
  return shift * subBuckets + (value >>> shift)
}

function upperBound(bucket: number): number {
  if (bucket < 2 * subBuckets) return bucket
  const shift = Math.floor(bucket / subBuckets) - 1
  return ((bucket % subBuckets) + subBuckets + 1) * 2 ** shift - 1
}
