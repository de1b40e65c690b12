// The backends on which the public suite runs, and what io_uring lacks on older kernels and with full queues (ZERIO_IO_URING_WITHOUT).
export const backendVariants = {
  epoll: [undefined],
  io_uring: [undefined, 'queues', 'defer', 'incremental,multishot']
}

/** The name of a variant on the command line. */
export const variantName = (backend, lacks) => (lacks === undefined ? backend : `${backend}/${lacks}`)
