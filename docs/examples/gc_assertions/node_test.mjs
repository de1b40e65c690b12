// Assertions of zerio/gc in Node's own runner. Run it as: node --test docs/examples/gc_assertions/node_test.mjs
import { test } from 'node:test'
import { assertNoGarbage, expectBytesPerOperation } from 'zerio/gc'
import { addPrice, addQuantity } from './volume.mjs'

test('adding a quantity allocates nothing', () => {
  assertNoGarbage(addQuantity)
})

test('adding a price allocates a box', () => {
  expectBytesPerOperation(addPrice, { max: 16 })
})
