// Assertions of zerio/gc in Jest. In a package of yours, name the file volume.test.cjs and run: npx jest
const { assertNoGarbage, expectBytesPerOperation } = require('zerio/gc')

let volume = 0
let average = 0

test('adding a quantity allocates nothing', () => {
  assertNoGarbage(function addQuantity(quantity) {
    volume = (volume + quantity) & 0xffffff
  })
})

test('adding a price allocates a box', () => {
  expectBytesPerOperation(
    function addPrice(price) {
      average = average * 0.9 + price * 0.05
    },
    { max: 16 }
  )
})
