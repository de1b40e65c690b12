// Columns: arrays of numbers that grow when there are more rows than before.

/** A longer array with the same numbers at its beginning. Throws a RangeError when there is no memory for it. */
export function grown<Column extends Int32Array | Float64Array | Uint8Array>(
  column: Column,
  length: number
): Column {
  const longer = new (column.constructor as new (length: number) => Column)(length)
  longer.set(column)
  return longer
}
