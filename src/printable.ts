// Text of others, as far as a terminal, a log or a browser would obey it and not print it.

const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu

/** The same text in one line: a space stands for control characters, line separators and bidirectional controls. */
export function printableText(text: string): string {
  return text.replace(obeyed, ' ')
}
