// The backend that every system of this kind has.
import { createRequire } from 'node:module'

const { native } = createRequire(import.meta.url)('../../dist/engine/native.js')

/** 'epoll', 'kqueue' or 'winsock'. */
export const alwaysThere = native.backends.find((name) => ['epoll', 'kqueue', 'winsock'].includes(name))
