// Declares tests of the io_uring backend; where the system refuses it, they are skipped with a note.

import { createRequire } from 'node:module'
import test from 'ava'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')
const usable = native.backends.includes('io_uring') && native.probeBackend('io_uring') === 0
const refused = (name) =>
  test(name, (t) => {
    t.log('not run: the system refuses io_uring')
    t.pass()
  })

/** A test that needs io_uring. */
export const uring = usable ? test : Object.assign(refused, { serial: refused })
export const backend = 'io_uring'
