// The public names of `zerio/gc`.
export { assertNoGarbage, expectBytesPerOperation, type GcExpectation } from './assertions.js'
export type { GcCompared, GcComparison, GcVerdict } from './comparing.js'
export { type GcCompareOptions, type GcMeasureOptions, GcProbe, type GcProbeOptions } from './probe.js'
export type { GcFrame, GcProfile, GcProfileData } from './profile.js'
export type {
  GcAllocator,
  GcCollections,
  GcEventLoop,
  GcGenerations,
  GcPauses,
  GcReport,
  GcReportData
} from './report.js'
