// Assertions of zerio/gc in Vitest. In a package of yours, name the file volume.test.mjs and run: npx vitest run

import { test } from 'vitest'
import { assertNoGarbage, expectBytesPerOperation } from 'zerio/gc'
import { addPrice, addQuantity } from './volume.mjs'

test('adding a quantity allocates nothing', () => {
  assertNoGarbage(addQuantity)
})

test('adding a price allocates a box', () => {
  expectBytesPerOperation(addPrice, { max: 16 })
})
