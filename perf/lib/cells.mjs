// The cells of the round-trip matrix, as text on a command line: bytes:interval in microseconds:burst:bursts.

/**
 * @typedef {object} Cell
 * @property {string} name
 * @property {number} bytes of a message
 * @property {number} intervalUs from one burst to the next
 * @property {number} burst messages in one
 * @property {number} bursts how many
 */

/** @param {string} text @returns {Cell[]} */
export function parseCells(text) {
  return text.split(',').map((part) => {
    const [bytes, intervalUs, burst, bursts] = part.split(':').map(Number)
    return { name: `${bytes}:${intervalUs}:${burst}`, bytes, intervalUs, burst, bursts }
  })
}

/** @param {Cell[]} cells */
export const formatCells = (cells) => cells.map(({ name, bursts }) => `${name}:${bursts}`).join()
