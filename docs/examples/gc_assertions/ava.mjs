// Assertions of zerio/gc in ava. Run it as: npx ava docs/examples/gc_assertions/ava.mjs
import test from 'ava'
import { assertNoGarbage, expectBytesPerOperation } from 'zerio/gc'
import { addPrice, addQuantity } from './volume.mjs'

test.serial('adding a quantity allocates nothing', (t) => {
  t.notThrows(() => assertNoGarbage(addQuantity))
})

test.serial('adding a price allocates a box', (t) => {
  t.notThrows(() => expectBytesPerOperation(addPrice, { max: 16 }))
})
