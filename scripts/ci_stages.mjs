// The stages of continuous integration, and the tools that they need besides Node.js.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { backendVariants, variantName } from './backend_variants.mjs'

const says = (command, ...args) => spawnSync(command, args, { encoding: 'utf8' })
const answers = (command, argument = '--version') => says(command, argument).status === 0

/** libFuzzer is a package of its own, named after clang's version. */
function fuzzerPackage() {
  const { status, stdout } = says('clang++', '-dumpversion')
  return status === 0 ? `libclang-rt-${stdout.split('.')[0]}-dev` : 'libclang-rt-14-dev'
}

/** Debian's package of each tool, and whether the tool is there. */
export const tools = {
  compiler: { packages: () => ['g++'], isThere: () => answers('g++') },
  make: { packages: () => ['make'], isThere: () => answers('make') },
  python: { packages: () => ['python3'], isThere: () => answers('python3') },
  'clang-tidy': { packages: () => ['clang-tidy'], isThere: () => answers('clang-tidy') },
  // For the clients in other languages (examples/clients), whose test leaves out those whose compiler is missing.
  go: { packages: () => ['golang-go'], isThere: () => answers('go', 'version') },
  mono: { packages: () => ['mono-mcs', 'mono-runtime'], isThere: () => answers('mcs') },
  libFuzzer: {
    packages: () => ['clang', fuzzerPackage()],
    isThere: () => answers('clang++') && says('dpkg', '-s', fuzzerPackage()).status === 0
  },
  qemu: {
    packages: () => ['qemu-user', 'libc6-arm64-cross', 'libstdc++6-arm64-cross'],
    isThere: () => answers('qemu-aarch64')
  },
  musl: { packages: () => ['musl'], isThere: () => existsSync('/lib/ld-musl-x86_64.so.1') },
  'mingw-w64': {
    packages: () => ['g++-mingw-w64-x86-64-posix'],
    isThere: () => answers('x86_64-w64-mingw32-g++-posix')
  },
  chromium: { packages: () => ['chromium'], isThere: () => answers('chromium') },
  Wine: {
    packages: () => ['wine64'],
    isThere: () => ['/usr/lib/wine/wine64', '/usr/bin/wine64'].some(existsSync)
  }
}

/** Every stage builds the addon. */
export const toolsOfAll = ['compiler', 'make', 'python']

// On the other backends: what is about the package and the tools is the same on each.
const ENGINE_TESTS = "'test/{api,backends,engine,host,memory,wire}/*.test.mjs'"
/** What `npm run prebuilds` makes and this machine can run, with the name of its runtime. */
const ZIG_TARGETS = [
  { target: 'linux-arm64', runtime: 'arm64', tools: ['qemu'] },
  { target: 'linux-x64-musl', runtime: 'musl', tools: ['musl'] }
]
const WINDOWS_SUITES = ['22-rio', '20-winsock', '22-winsock', '20-rio']

function windows(name, seconds, major, args, takesTurns) {
  const command = `node scripts/windows_node.mjs ${major} && npm run test:windows -- --node ${major} ${args}`
  return { name, seconds, command, tools: ['mingw-w64', 'Wine'], takesTurns }
}

/**
 * Each stage has a name, a limit in seconds, and a command for the shell. One whose `tools` cannot be installed is skipped; without
 * `helpful` ones it runs and does less. Of those that have the same `takesTurns`, a whole run has one, chosen by the commit; `.ci/run NAME`
 * runs any of them.
 */
export const stages = [
  { name: 'start', seconds: 900, command: 'npm install && npm start' },
  {
    name: 'test',
    seconds: 900,
    command: 'npm install && npm test -- --tap',
    helpful: ['clang-tidy', 'go', 'mono']
  },
  { name: 'packages', seconds: 900, command: 'npm run test:packages' },
  // Without `npm test`, which the stage before has run.
  { name: 'contributing', seconds: 900, command: 'npm run test:contributing -- --quick' },
  { name: 'simulate', seconds: 600, command: 'npm run simulate -- --seeds 5000' },
  { name: 'simulate-new-seeds', seconds: 600, command: 'npm run simulate -- --minutes 1' },
  { name: 'simulate-torture', seconds: 300, command: 'npm run simulate -- --torture' },
  { name: 'sanitizers', seconds: 900, command: 'npm run test:sanitizers -- --seeds 50' },
  {
    name: 'fuzz',
    seconds: 600,
    command: 'npm run fuzz -- --seconds 60',
    tools: ['libFuzzer'],
    takesTurns: 'malformed bytes, and refused memory'
  },
  {
    name: 'life',
    seconds: 600,
    command: 'npm run test:life',
    takesTurns: 'the life of a server, on each backend'
  },
  {
    name: 'life-io_uring',
    seconds: 600,
    command: 'ZERIO_BACKEND=io_uring npm run test:life',
    takesTurns: 'the life of a server, on each backend'
  },
  {
    name: 'restart',
    seconds: 300,
    command: 'npm run --silent build && node lab/reliability/restart.mjs --rounds 1'
  },
  ...['epoll', 'io_uring'].map((backend) => ({
    name: `sessions-${backend}`,
    seconds: 300,
    command: `npm run --silent build && node lab/reliability/sessions.mjs --messages 400000 --breaks 60 --backend ${backend}`,
    takesTurns: 'sessions over a path that breaks, on each backend'
  })),
  ...['epoll', 'io_uring'].map((backend) => ({
    name: `slow-consumers-${backend}`,
    seconds: 300,
    command: `npm run --silent build && node lab/reliability/slow_consumers.mjs --minutes 0.1 --perTurn 200 --backend ${backend}`,
    takesTurns: 'slow consumers, on each backend'
  })),
  {
    name: 'misuse',
    seconds: 600,
    command: 'npm run --silent build && node lab/reliability/misuse.mjs --seeds 10'
  },
  // The other way round than life, so that each run has both backends.
  {
    name: 'soak-io_uring',
    seconds: 600,
    command: 'ZERIO_BACKEND=io_uring npm run soak -- --minutes 1',
    takesTurns: 'soaking, on each backend'
  },
  {
    name: 'soak',
    seconds: 600,
    command: 'npm run soak -- --minutes 1',
    takesTurns: 'soaking, on each backend'
  },
  // The stage `test` runs the suite on the backend that the system allows best, which is epoll today.
  {
    name: 'backends',
    seconds: 600,
    command: `npm run test:backends -- io_uring --tap ${ENGINE_TESTS}`,
    takesTurns: 'other backends'
  },
  ...backendVariants.io_uring.filter(Boolean).map((lacks) => ({
    name: `backends-without-${lacks.replace(',', '-')}`,
    seconds: 600,
    command: `npm run test:backends -- ${variantName('io_uring', lacks)} --tap ${ENGINE_TESTS}`,
    takesTurns: 'other backends'
  })),
  {
    name: 'backends-kqueue',
    seconds: 600,
    command: `npm run test:backends -- kqueue --tap ${ENGINE_TESTS}`,
    takesTurns: 'other backends'
  },
  ...[20, 26, 24, 22].map((major) => ({
    name: `host-${major}`,
    seconds: 900,
    command: `npm run test:host -- --node ${major}`,
    takesTurns: 'the host, on one version of Node.js'
  })),
  // Garbage measured by zerio/gc, and beside it.
  ...[20, 26, 24, 22].map((major) => ({
    name: `gc-${major}`,
    seconds: 300,
    command: `npm run --silent build:ts && node lab/gc/functions.mjs --node ${major} && node lab/gc/sums.mjs --node ${major}`,
    takesTurns: 'the garbage laboratory, on one version of Node.js'
  })),
  {
    name: 'gc-runners',
    seconds: 300,
    command: 'npm run --silent build:ts && node lab/gc/benches.mjs && node lab/gc/runners.mjs --runs 25'
  },
  {
    name: 'gc-page',
    seconds: 120,
    command: 'npm run --silent build:ts && node lab/gc/page.mjs',
    tools: ['chromium']
  },
  { name: 'runtimes', seconds: 300, command: 'npm run test:runtimes' },
  { name: 'recipes', seconds: 600, command: 'npm run test:recipes', takesTurns: 'what is published' },
  ...ZIG_TARGETS.map(({ target, runtime, tools: needed }) => ({
    name: `zig-${target}`,
    seconds: 900,
    command: `npm run prebuilds -- ${target} && npm run test:runtimes -- ${runtime}`,
    tools: needed,
    takesTurns: 'what is published'
  })),
  {
    name: 'zig-others',
    seconds: 900,
    command: 'npm run prebuilds -- win32-x64 win32-arm64 darwin-x64 darwin-arm64',
    takesTurns: 'what is published'
  },
  ...[1, 2, 3].map((share) => ({
    name: `mutations-${share}`,
    seconds: 900,
    command: `npm run --silent build && npm run test:mutations -- --share ${share}/3`,
    takesTurns: 'planted bugs, and programs under Wine'
  })),
  {
    name: 'torture',
    seconds: 600,
    command: 'npm run test:torture -- --strategies blocking --most 6',
    takesTurns: 'malformed bytes, and refused memory'
  },
  ...[1, 2].flatMap((share) =>
    WINDOWS_SUITES.map((name) => {
      const [major, mode] = name.split('-')
      return windows(
        `windows-${name}-${share}`,
        900,
        major,
        `--mode ${mode} --only suite --share ${share}/2 --again`,
        'the suite under Wine'
      )
    })
  ),
  ...[22, 20].map((major) =>
    windows(
      `windows-programs-${major}`,
      600,
      major,
      '--only programs',
      'planted bugs, and programs under Wine'
    )
  ),
  ...[1, 2].map((share) =>
    windows(
      `windows-planted-${share}`,
      900,
      22,
      `--only planted --share ${share}/2`,
      'planted bugs, and programs under Wine'
    )
  )
]
