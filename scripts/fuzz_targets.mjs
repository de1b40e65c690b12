// The fuzz targets: their names, and what each is made of.
export const fuzzTargets = {
  frames: ['lab/fuzz/frames.cc'],
  handshake: ['lab/fuzz/handshake.cc', 'addon/engine/handshake.cc', 'lab/simulation/reference.cc'],
  address: ['lab/fuzz/address.cc', 'addon/io/posix/address.cc'],
  send_ring: ['lab/fuzz/send_ring.cc']
}
