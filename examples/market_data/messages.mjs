// The messages of this example: fixed layouts, little-endian, which both sides read and write in place.

/** A quote: which symbol, its number in the feed, bid and ask. */
export const QUOTE_BYTES = 24
export const SYMBOL = 0 // u32, an index into `symbols`
export const SEQUENCE = 4 // u32, counts all quotes of the feed
export const BID = 8 // f64
export const ASK = 16 // f64

/** Channels tell kinds of messages apart. A snapshot has one quote for each symbol, and no sequence of its own. */
export const LIVE = 0
export const SNAPSHOT = 1

export const symbols = ['EURUSD', 'GBPUSD', 'USDJPY', 'USDCHF']
