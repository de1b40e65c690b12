// Reads the lines that V8 prints with --trace-gc: collections by kind, their pauses, and what they freed.

const LINE =
  /\bms: (Scavenge|Minor|Mark-\S+).*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB, (?:pooled: [\d.]+ MB, )?([\d.]+) \/ /

/**
 * @param {string[]} lines
 * @returns {{ kind: string, pauseMs: number, freedBytes: number }[]}
 */
export function collectionsIn(lines) {
  return lines.flatMap((line) => {
    const match = LINE.exec(line)
    if (match === null) return []
    const [, kind, beforeMb, afterMb, pauseMs] = match
    return { kind, pauseMs: Number(pauseMs), freedBytes: (Number(beforeMb) - Number(afterMb)) * 2 ** 20 }
  })
}

/** Count, longest and total pause for each kind. */
export function byKind(collections) {
  const kinds = {}
  for (const { kind, pauseMs } of collections) {
    kinds[kind] ??= { count: 0, pauseMsMax: 0, pauseMsTotal: 0 }
    kinds[kind].count++
    kinds[kind].pauseMsMax = Math.max(kinds[kind].pauseMsMax, pauseMs)
    kinds[kind].pauseMsTotal += pauseMs
  }
  return kinds
}
