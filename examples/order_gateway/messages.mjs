// The messages of this example: fixed layouts, little-endian, which both sides read and write in place.

export const ORDER = 1 // channel
export const ORDER_BYTES = 24
export const ORDER_ID = 0 // u32, counts the orders of a trader from 1
export const ORDER_QUANTITY = 4 // i32, negative: sells
export const ORDER_PRICE = 8 // f64
export const ORDER_SENT_NS = 16 // f64, the trader's clock, which comes back in the acknowledgement

export const ACK = 2 // channel
export const ACK_BYTES = 16
export const ACK_ID = 0 // u32
export const ACK_STATUS = 4 // u32
export const ACK_SENT_NS = 8 // f64

export const ACCEPTED = 0
export const BAD_QUANTITY = 1
export const BAD_PRICE = 2
/** An order that was sent again after a broken connection, and had arrived before. */
export const KNOWN = 3
export const statuses = ['accepted', 'bad quantity', 'bad price', 'known']

/** So many orders of one trader may wait for their acknowledgement. */
export const IN_FLIGHT_MAX = 256
