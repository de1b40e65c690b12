// Compiles perf/c into perf/bin and knows where the results are.
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

const SOURCES = join(import.meta.dirname, '../c')
const BINARIES = join(import.meta.dirname, '../bin')
const FLAGS = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror']

export const nativePrograms = {
  pingPong: join(BINARIES, 'pingpong'),
  oneWay: join(BINARIES, 'oneway'),
  fanOut: join(BINARIES, 'fanout'),
  paced: join(BINARIES, 'paced'),
  sink: join(BINARIES, 'sink'),
  crowd: join(BINARIES, 'crowd'),
  echo: join(BINARIES, 'echo'),
  greeter: join(BINARIES, 'greeter'),
  churn: join(BINARIES, 'churn'),
  long: join(BINARIES, 'long'),
  subscribers: join(BINARIES, 'subscribers'),
  mallocCount: join(BINARIES, 'malloc_count.so')
}

/** Compiles everything, with $CC or cc. Throws what the compiler says. */
export function compileNativePrograms() {
  mkdirSync(BINARIES, { recursive: true })
  compile('pingpong.c', nativePrograms.pingPong)
  compile('oneway.c', nativePrograms.oneWay)
  compile('fanout.c', nativePrograms.fanOut)
  compile('paced.c', nativePrograms.paced)
  compile('sink.c', nativePrograms.sink)
  compile('crowd.c', nativePrograms.crowd)
  compile('echo.c', nativePrograms.echo)
  compile('greeter.c', nativePrograms.greeter)
  compile('churn.c', nativePrograms.churn)
  compile('long.c', nativePrograms.long)
  compile('subscribers.c', nativePrograms.subscribers)
  compile('malloc_count.c', nativePrograms.mallocCount, ['-shared', '-fPIC'])
}

function compile(source, target, flags = []) {
  const args = [...FLAGS, ...flags, join(SOURCES, source), '-o', target]
  execFileSync(process.env.CC ?? 'cc', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
