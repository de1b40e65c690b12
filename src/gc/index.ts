// The public names of `zerio/gc`.
export { type GcMeasureOptions, GcProbe, type GcProbeOptions } from './probe.js'
export type {
  GcAllocator,
  GcCollections,
  GcEventLoop,
  GcPauses,
  GcReport,
  GcReportData
} from './report.js'
