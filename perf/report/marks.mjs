// Replaces what stands between two marks of a page, and leaves the rest of it alone.

/** @returns {string} the text with `content` between the marks; throws when it has no such marks */
export function between(text, begin, end, content) {
  const [first, last] = [text.indexOf(begin), text.indexOf(end)]
  if (first < 0 || last < first)
    throw new Error(`The page has no place for figures, which begins with ${begin}`)
  return `${text.slice(0, first + begin.length)}\n\n${content}\n\n${text.slice(last)}`
}
