// A reading of a device: a fixed layout, little-endian. A device's id is the id of its connection.

export const READING_BYTES = 16
export const SEQUENCE = 0 // u32, counts the readings that the device has made, sent or not
export const METRIC = 4 // u32, an index into `metrics`
export const VALUE = 8 // f64

export const metrics = ['temperature', 'voltage']
