// What a section tells the head of the report: a ratio, its aim, and whether it is reached.

export const atMost = (what, value, aim) => ({ what, value, aim: `≤ ${aim} ×`, passes: value <= aim })
export const atLeast = (what, value, aim) => ({ what, value, aim: `≥ ${aim} ×`, passes: value >= aim })
