// The tests that are not run in Windows' Node.js, and why: a whole file, or tests of it by title; with `mode`, only in this mode. What is left
// out because of Wine or the emulator, and runs on Windows itself, has `wine: true`. docs/windows.md sums it up.

const LIBUV = 'each batch returns to libuv there, whose iterations cost Node.js some bytes of garbage'
const SIGNAL = 'Windows has no signals: kill() ends a process at once'
const PROC = 'reads /proc'
const PYTHON = 'no Python in Wine'
const ULIMIT = 'needs ulimit'
const BURST = 'a poll after a long handler accepts up to 32 connections there before it reads the first HELLO'
const SILENT = 'connections succeed there although the listen queue is full, so no address stays silent'
const GC_PROGRAMS = 'six of eleven fail under Wine; whether zerio gc or Wine is the cause is not known yet'
const SLOW_ROUNDS = 'polls four clients in each of 60,000 rounds, for which the emulator needs minutes'
const SHARED_PORT = 'Windows cannot share a port'
const NO_PATH = 'a server on Windows has no such address'

const exclusions = [
  { file: 'host_engines', title: '*', reason: PROC },
  { file: 'portable_loop', title: '*', reason: 'the loop driver of other runtimes is there on Linux alone' },
  {
    file: 'host_loop',
    title: '*',
    reason: 'judges latencies and wake-ups, of which Wine has its own',
    wine: true
  },
  {
    file: 'loading',
    title: 'the import names an engine for another machine',
    reason: 'changes the header of an ELF file'
  },
  { file: 'loading', title: 'the import * musl*', reason: 'is about the C library of Linux' },
  {
    file: 'loading',
    title: 'the import names a C or C++ library that is too old',
    reason: 'changes the versions that an ELF file asks for'
  },
  { file: 'package_types', title: '*', reason: 'no npm in Wine', wine: true },
  {
    file: 'vectors',
    title: '*and connects again*',
    reason: 'no Python and no compilers in Wine',
    wine: true
  },
  { file: 'topics_garbage', title: '*', reason: SLOW_ROUNDS, wine: true },
  { file: 'simulation', title: '*', reason: 'runs a Linux program that has no system under it' },
  { file: 'io_uring_pressure', title: '*', reason: 'is about io_uring' },
  { file: 'io_uring_faults', title: '*', reason: 'is about io_uring' },
  { file: 'oddities', title: '*', reason: 'preloads a Linux library' },
  { file: 'slow_consumers', title: '*', reason: 'runs a Linux program, which uses epoll' },
  { file: 'backend_choice', title: 'io_uring*', reason: 'is about io_uring' },
  { file: 'cli_bench', title: 'SIGINT ends*', reason: SIGNAL },
  { file: 'cli_bench', title: 'the listening process does not outlive the command', reason: PROC },
  ...[
    'a program that is stuck in a loop ends by its signal*',
    'a program that is killed before it has reported*',
    'a program that runs out of memory*',
    'SIGUSR2 reaches the program',
    'SIGQUIT reaches the program',
    'SIGUSR1 reaches the program',
    'the program sees its listeners of signals alone*'
  ].map((title) => ({ file: 'cli_gc', title, reason: SIGNAL })),
  { file: 'cli_gc_programs', title: '*', reason: GC_PROGRAMS },
  { file: 'gc_undisturbed', title: 'a probe that samples forces no collection*', reason: GC_PROGRAMS },
  { file: 'gc_undisturbed', title: "collections are those of V8's trace*", reason: GC_PROGRAMS },
  {
    file: 'cli_gc',
    title: 'a program that ends before --seconds is over*',
    reason: 'now and then Wine loses what a process writes to a pipe as it ends',
    wine: true
  },
  { file: 'cli_gc', title: 'SIGINT leaves the decision to the program', reason: SIGNAL },
  { file: 'cli_gc', title: 'a third SIGINT*', reason: SIGNAL },
  { file: 'cli_gc', title: 'the last lines of a terminal*', reason: PYTHON, wine: true },
  { file: 'cli_gc', title: 'Ctrl-C in a terminal*', reason: PYTHON, wine: true },
  { file: 'demo', title: 'Ctrl-C ends a run with its summary', reason: SIGNAL },
  {
    file: 'demo',
    title: 'a process that dies is one line on stderr and the end of all',
    reason: PROC
  },
  { file: 'demo', title: 'no process outlives the first one', reason: PROC },
  ...[
    'addresses that do not answer*',
    'abandoned attempts*',
    'attempts overlap with manual polling, too',
    'connectTimeoutMs covers all addresses*'
  ].map((title) => ({ file: 'connecting', title, reason: SILENT, wine: true })),
  { file: 'keep_alive', title: '*', reason: 'reads socket options by their numbers on Linux' },
  { file: 'given_back', title: '*', reason: PROC },
  { file: 'newcomers', title: 'the descriptors of a process*', reason: PROC },
  { file: 'host_sends', title: '*', reason: 'judges latencies, of which Wine has its own', wine: true },
  { file: 'system_errors', title: 'the error of an engine without a descriptor*', reason: ULIMIT },
  { file: 'pool_memory', title: 'a server takes hundreds of peers although*', reason: ULIMIT },
  { file: 'pool_memory', title: 'a server serves a thousand peers under*', reason: ULIMIT },
  { file: 'pool_memory', title: 'the error names the limit*', reason: ULIMIT },
  { file: 'gc_package', title: 'the package has the probe*', reason: 'no npm in Wine', wine: true },
  { file: 'package', title: 'npm install and npm rebuild*', reason: 'no npm in Wine', wine: true },
  { file: 'differential', title: 'the Python client*', reason: PYTHON, wine: true },
  { file: 'machine_faults', title: 'EMFILE while*', reason: ULIMIT },
  { file: 'machine_faults', title: 'no address space*', reason: ULIMIT },
  { file: 'fairness', title: 'a crowd that connects during a long handler*', reason: BURST },
  { file: 'addresses', title: 'reusePort*', reason: SHARED_PORT },
  { file: 'workers', title: 'workers share a port with reusePort', reason: SHARED_PORT },
  { file: 'docs', title: 'live.mjs prints what it says', reason: LIBUV },
  ...['path', 'descriptor'].map((name) => ({
    file: 'docs',
    title: `${name}.mjs prints what it says`,
    reason: NO_PATH
  })),
  ...[
    ['paths', 'a *'],
    ['paths', 'the *'],
    ['paths', 'what *'],
    ['paths', 'much *'],
    ['paths', 'Linux:*'],
    ['descriptors', 'a child listens*'],
    ['descriptors', 'what is no socket*'],
    ['descriptors', 'a descriptor is adopted once*'],
    ['descriptors', 'a descriptor that was closed*'],
    ['several_addresses', 'a port, a path*'],
    ['several_addresses', 'a path goes*'],
    ['pausing', 'over a Unix domain socket*'],
    ['pausing', 'a send that fails while a connection is paused*']
  ].map(([file, title]) => ({ file, title, reason: NO_PATH })),
  {
    file: 'pausing',
    title: 'a reset is noticed behind messages that wait*',
    reason: 'Windows keeps two receives of a connection under way: filled, they tell of no reset'
  },
  {
    file: 'pausing',
    title: 'a close is noticed while paused behind PINGs*',
    mode: 'rio',
    reason: 'Windows keeps two receives of a connection under way: filled by PINGs, they tell of no close'
  },
  {
    file: 'local_address',
    title: 'a client comes from its port again*',
    reason: 'Windows keeps the port of a connection that ended for a while'
  },
  { file: 'examples', title: '*', reason: SIGNAL },
  { file: 'contributing', title: '*', reason: 'is about a checkout on Linux' },
  { file: 'api_reference', title: '*', reason: 'reads the same sources on every system' },
  { file: 'options_table', title: 'the public types*', reason: 'compiles the same sources on every system' },
  ...['blocking, part', 'spin, claim', 'hybrid, whole'].map((how) => ({
    file: 'zero_garbage',
    title: `300000 round trips without a collection: ${how}`,
    reason: LIBUV
  }))
]

/** What is left out of a test file in a mode. */
export const exclusionsOf = (file, mode) =>
  exclusions.filter((one) => one.file === file && (one.mode ?? mode) === mode)
