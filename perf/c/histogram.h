// A histogram of nanoseconds whose buckets are 1/256 wide at most, for more samples than memory should keep one by one.
#ifndef ZERIO_PERF_HISTOGRAM_H
#define ZERIO_PERF_HISTOGRAM_H

#include <stdint.h>
#include <string.h>

enum { SUB_BUCKETS_LOG2 = 8, SUB_BUCKETS = 1 << SUB_BUCKETS_LOG2, BUCKETS = (65 - SUB_BUCKETS_LOG2) * SUB_BUCKETS };

typedef struct {
  uint64_t count;
  uint64_t max_ns;
  uint64_t buckets[BUCKETS];
} Histogram;

static inline void record(Histogram* histogram, uint64_t ns) {
  const int bits = 64 - __builtin_clzll(ns | 1);
  const int shift = bits > SUB_BUCKETS_LOG2 + 1 ? bits - SUB_BUCKETS_LOG2 - 1 : 0;
  histogram->buckets[((uint64_t)shift << SUB_BUCKETS_LOG2) + (ns >> shift)]++;
  histogram->count++;
  if (ns > histogram->max_ns) histogram->max_ns = ns;
}

// The end of the bucket that has the sample of this rank, in microseconds.
static inline double percentile_us(const Histogram* histogram, double percentile) {
  const double rank = (double)histogram->count * percentile / 100;
  uint64_t below = 0;
  for (uint64_t i = 0; i < BUCKETS; i++) {
    below += histogram->buckets[i];
    if (histogram->count == 0 || (double)below < rank) continue;
    const uint64_t shift = i < 2 * SUB_BUCKETS ? 0 : (i >> SUB_BUCKETS_LOG2) - 1;
    const uint64_t end_ns = (i - (shift << SUB_BUCKETS_LOG2) + 1) << shift;
    return (double)(end_ns < histogram->max_ns ? end_ns : histogram->max_ns) / 1000;
  }
  return 0;
}

static inline void add_all(Histogram* sum, const Histogram* part) {
  for (int i = 0; i < BUCKETS; i++) sum->buckets[i] += part->buckets[i];
  sum->count += part->count;
  if (part->max_ns > sum->max_ns) sum->max_ns = part->max_ns;
}

#endif
