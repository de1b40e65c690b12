// Preloaded (--require) into Windows Node.js: loads the product's addon and puts the emulator of Windows under it. Programs require it, too,
// for its functions.
//
// What always holds is in the heads of rio_emulator.cc (Registered I/O) and socket_rules.h (sockets). By environment variables:
//   ZERIO_RIO_REPORT      the file for violations and for the last line of each process
//   ZERIO_RIO=off         there is no Registered I/O, as in Wine itself; the rules of sockets hold
//   ZERIO_RIO_ACKS        delayed: sends complete with the acknowledgements of TCP, an odd last segment after 40 ms
// By functions:
//   refuse(kind, n, error)  the n-th call from now on fails, once; 0 none, -1 each. `error` is Winsock's, WSAENOBUFS when none is given. Returns
//                           how many calls there were since the last refuse(). Kinds: register, completion_queue, request_queue, resize, send,
//                           commit, receive, notify
//   limit(bytes)            how much registrations and completion queues may lock, in whole pages
//   delay(boolean)          as ZERIO_RIO_ACKS
//   late(ms)                how much later than otherwise the requests of closed sockets complete
//   corrupt()               every completion queue is corrupt from now on
//   locked()                the most bytes that were locked at a time
const { join } = require('node:path')
const root = join(__dirname, '..', '..')
require(join(root, 'prebuilds', 'win32-x64', 'zerio.node'))
const emulator = require(join(root, 'build', 'windows', 'rio_emulator.node'))
if (!emulator.inject(process.env.ZERIO_RIO !== 'off'))
  throw new Error('The addon does not import what the emulator replaces.')
module.exports = emulator
