// The fuzz targets: their names, and what each is made of.
export const fuzzTargets = {
  frames: ['test/fuzz/frames.cc'],
  handshake: ['test/fuzz/handshake.cc', 'addon/engine/handshake.cc', 'test/simulation/reference.cc'],
  address: ['test/fuzz/address.cc', 'addon/io/address_posix.cc'],
  send_ring: ['test/fuzz/send_ring.cc']
}
