// What the examples of assertions test: two sums over numbers, one of which allocates.
let volume = 0
let average = 0

/** Small integers need no memory. */
export function addQuantity(quantity) {
  volume = (volume + quantity) & 0xffffff
  return volume
}

/** A double in a variable of a closure is in a box of 16 bytes, a new one for each assignment; one that is returned may need another. */
export function addPrice(price) {
  average = average * 0.9 + price * 0.05
}
