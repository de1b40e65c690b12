// The messages of this example: fixed layouts, little-endian, which both sides read and write in place.

export const symbols = ['EURUSD', 'GBPUSD', 'USDJPY', 'USDCHF']

// Two topics for each symbol. A message does not say which topic it is of, so each one has its symbol, an index into `symbols`.
export const bookOf = (symbol) => `book.${symbol}`
export const tradesOf = (symbol) => `trades.${symbol}`

/** A level of a book is a key of its topic: 0 to LEVELS - 1 are bids, the best first; LEVELS to 2 * LEVELS - 1 are asks. */
export const LEVELS = 10
/** Its value. In the message it stands behind the key, a u32. */
export const LEVEL_BYTES = 20
export const LEVEL_SYMBOL = 0 // u32
export const LEVEL_PRICE = 4 // f64
export const LEVEL_SIZE = 12 // f64; 0: no order is there
export const KEY_BYTES = 4

/** A trade, on a channel of its own: values of keys are on channel 0. */
export const TRADE = 1
export const TRADE_BYTES = 24
export const TRADE_SYMBOL = 0 // u32
export const TRADE_SEQUENCE = 4 // u32, counts the trades of the symbol
export const TRADE_PRICE = 8 // f64
export const TRADE_SIZE = 16 // f64
