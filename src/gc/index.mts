// The ES module face of `zerio/gc`: the same objects as require('zerio/gc') gives.
export {
  assertNoGarbage,
  expectBytesPerOperation,
  type GcAllocator,
  type GcCollections,
  type GcCompared,
  type GcCompareOptions,
  type GcComparison,
  type GcEventLoop,
  type GcExpectation,
  type GcFrame,
  type GcGenerations,
  type GcMeasureOptions,
  type GcPauses,
  GcProbe,
  type GcProbeOptions,
  type GcProfile,
  type GcProfileData,
  type GcReport,
  type GcReportData,
  type GcVerdict
} from './index.js'
