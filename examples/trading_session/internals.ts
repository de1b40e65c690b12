// The one place where this example uses what zerio does not export: the measuring tools that `npx zerio bench` and `zerio gc` share.
export { Histogram } from '../../dist/cli/histogram.js'
export { keepPolling } from '../../dist/cli/polling.js'
export { HeapMeter } from '../../dist/gc/heap_meter.js'
