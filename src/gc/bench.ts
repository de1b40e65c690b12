// The public names of `zerio/gc/bench`.
export {
  type MitataLike,
  type TinybenchGarbage,
  type TinybenchLike,
  withMitata,
  withTinybench,
  withVitest
} from './bench_libraries.js'
