// Declares tests of the io_uring backend; where the system refuses it, they are skipped.

import { createRequire } from 'node:module'
import test from 'ava'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
const usable = native.backends.includes('io_uring') && native.probeBackend('io_uring') === 0

/** A test that needs io_uring. */
export const uring = usable
  ? test
  : Object.assign((...given) => test.skip(...given), { serial: test.serial.skip, skip: test.skip })
export const backend = 'io_uring'
