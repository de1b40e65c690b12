// The public names of `zerio/gc`.
export { type GcMeasureOptions, GcProbe, type GcProbeOptions } from './probe.js'
export {
  type GcAllocator,
  type GcCollections,
  type GcEventLoop,
  type GcPauses,
  GcReport,
  type GcReportData
} from './report.js'
