// The backends on which the public suite runs, and what io_uring lacks on older kernels and with full queues (ZERIO_IO_URING_WITHOUT).
// That of macOS and FreeBSD has an addon of its own (kqueue_addon.mjs).
export const backendVariants = {
  epoll: [undefined],
  io_uring: [undefined, 'queues', 'defer', 'incremental,multishot'],
  kqueue: [undefined]
}

/** The name of a variant on the command line. */
export const variantName = (backend, lacks) => (lacks === undefined ? backend : `${backend}/${lacks}`)
