// The public names of the package.
export {
  type ClientEventMap,
  type ClientMessageHandler,
  type ClientRunHandler,
  type ClientState,
  type Reconnecting,
  ZerioClient
} from './client.js'
export { readClock } from './clock.js'
export type { StartOptions } from './connecting/starting.js'
export { ConnectionCounters, type Counters, EngineCounters, ServerCounters } from './counters.js'
export { StatusField } from './diagnostics.js'
export type { EngineInfo } from './engine/engine.js'
export type { MemoryKind, PoolBuffer } from './engine/pool.js'
export { type EngineWaker, type PostedWaker, Waker } from './engine/waker.js'
export { type FateCode, type MisuseCode, ZerioError } from './errors.js'
export { Frame } from './frame.js'
export type {
  Address,
  ClientAddress,
  DescriptorAddress,
  ListeningAddress,
  LocalAddress,
  PathAddress,
  ServerAddress
} from './options/address.js'
export type { Authenticate, PeerInfo } from './options/authenticate.js'
export type {
  Backend,
  ClientOptions,
  ConditionsOptions,
  EngineOptions,
  LiveOptions,
  ReconnectOptions,
  ServerOptions,
  SessionOptions,
  SessionsOptions,
  SlowConsumers,
  SocketOptions,
  TopicOptions,
  WaitStrategy
} from './options/options.js'
export { createPair, type PairEnd, type PairEventMap, type PairOptions } from './pair.js'
export type { Peer, PeerState, ServerMessageHandler, ServerRunHandler } from './peer.js'
export { CloseCode, DisconnectReason } from './reason.js'
export { type RefusedDetails, type ServerEventMap, type ServerState, ZerioServer } from './server.js'
export { SendStatus } from './status.js'
export { TopicCounters } from './topics/counters.js'
export type { SubscribeHandler } from './topics/requests.js'
export type { Topic } from './topics/topic.js'
