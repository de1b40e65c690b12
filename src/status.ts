// What send, claim and commit return.

/** The values of {@link SendStatus} for our own code: written in place by the compiler, where a property would be loaded. */
export const enum Status {
  Sent = 0,
  BackPressured = -1,
  NotConnected = -2,
  TooLarge = -3,
  Closed = -4,
  ChannelUnsupported = -5
}

/**
 * The outcome of `send`, `claim` and `commit`. A number, because an object would be garbage: 0 means accepted, and every refusal is
 * negative. The state of the network is reported this way and never thrown.
 */
export const SendStatus = Object.freeze({
  /** The message was accepted and is in the send ring. It is delivered unless the connection breaks. */
  Sent: 0,
  /** The send ring is full. The message was not accepted; `drain` is emitted when there is room for it. */
  BackPressured: -1,
  /** No connected peer has this id, or the client has not been connected yet. After a connection has ended the answer is `Closed`. */
  NotConnected: -2,
  /** The message is longer than this side's `maxMessageLength` or than the other side accepts. */
  TooLarge: -3,
  /** The connection is closing or closed. */
  Closed: -4,
  /** The peer speaks the classic protocol, which has no channels: only channel 0 reaches it. */
  ChannelUnsupported: -5
}) satisfies Readonly<Record<keyof typeof Status, Status>>

/** One of the numbers in {@link SendStatus}. */
export type SendStatus = (typeof SendStatus)[keyof typeof SendStatus]
