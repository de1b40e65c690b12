// Splits work between several runs: the share '1/2' has every second item from the first on, '2/2' has the others.

/** For `filter`: whether an item belongs to this share. */
export function inShare(text) {
  const [share, shares] = text.split('/').map(Number)
  return (_item, index) => index % shares === share - 1
}
