// The ES module face of `zerio/gc/bench`: the same objects as require('zerio/gc/bench') gives.
export {
  type MitataLike,
  type TinybenchGarbage,
  type TinybenchLike,
  withMitata,
  withTinybench,
  withVitest
} from './bench.js'
