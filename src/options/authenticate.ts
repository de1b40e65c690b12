// The option `authenticate` of servers: what it is called with, and what it answers.

/** A connection that wants to be a peer. */
export interface PeerInfo {
  /**
   * Address and port of the other side, as in `127.0.0.1:50000` or `[::1]:50000`; `unix:` when it came over a Unix domain socket; empty
   * when it was gone before it could be asked.
   */
  readonly remoteAddress: string
  /** The server's address and port that it has reached, in the same form; as in `unix:/run/one.sock` for a path. */
  readonly localAddress: string
  /** What it speaks. */
  readonly protocol: 'native' | 'classic'
}

/** Says whether a peer may connect. `credential` is a copy, which the program may keep. */
export type Authenticate = (peerId: string, credential: Buffer, info: PeerInfo) => boolean | Promise<boolean>
