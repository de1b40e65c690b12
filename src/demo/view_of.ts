// The DataView of a buffer that a handler was given, made once per buffer instead of once per message.

// The engine hands out a handful of buffers again and again, and keeps them for ever, so this may too.
const buffers: Buffer[] = []
const views: DataView[] = []

export function viewOf(buffer: Buffer): DataView {
  for (let i = 0; i < buffers.length; i++) {
    if (buffers[i] === buffer) return views[i]
  }
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  buffers.push(buffer)
  views.push(view)
  return view
}
