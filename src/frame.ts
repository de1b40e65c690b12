// How a frame is read by programs that get runs of frames.
import type { Header } from './engine/layout.js'

/**
 * What a program needs that reads frames itself, in `onRun`, or writes behind headers, after `claimRun`. A frame is a header and the
 * message behind it (docs/protocol.md, "Frame"); the header is an unsigned int32, little end first.
 */
export const Frame = Object.freeze({
  /** How long a header is, in bytes. */
  HeaderBytes: 4,
  /** `header & Frame.LengthMask` is the length of the message, in bytes, without the header. */
  LengthMask: 0x00ffffff,
  /** `header >>> Frame.ChannelShift` is its channel, 0 to 127. */
  ChannelShift: 24
}) satisfies { HeaderBytes: Header.Bytes; LengthMask: Header.LengthMask; ChannelShift: Header.ChannelShift }
