// A server's answers to clients that ask to be in a topic, or not any more.
import { debugLog } from '../debug_log.js'
import type { Engine } from '../engine/engine.js'
import { Code, TopicOpcode } from '../engine/layout.js'
import { misuse } from '../errors.js'
import { describe } from '../options/options.js'
import type { Peer } from '../peer.js'
import type { Topic } from './topic.js'
import type { Topics } from './topics.js'

/** Decides whether a peer may be in the topic of this name: true lets it in, anything else does not. See {@link ZerioServer.onSubscribe}. */
export type SubscribeHandler = (peer: Peer, name: string) => boolean

const DONE = 0

/** Does what a peer asks for, and answers. An exception of the handler passes through, behind a refusal. */
export function answerRequest(
  engine: Engine,
  topics: Topics,
  handler: SubscribeHandler | null | undefined,
  peer: Peer,
  opcode: TopicOpcode,
  request: number,
  name: string
): void {
  const answer = (code: number, reason = ''): void => {
    debugLog?.(
      `peer ${peer._label} ${opcode === TopicOpcode.Subscribe ? 'asks for' : 'leaves'} topic ${name}: ${code === DONE ? 'done' : 'refused'}`
    )
    // The answer follows what was sent before: behind that to UNSUBSCRIBE nothing of the topic comes.
    peer._ring.publish()
    engine.native.answerTopic(peer._ring.slot, request, code, reason)
  }
  if (opcode === TopicOpcode.Unsubscribe) {
    topics.find(name)?.delete(peer)
    answer(DONE)
    return
  }
  let allowed: unknown = false
  try {
    allowed = handler?.(peer, name)
    if (isThenable(allowed))
      throw misuse(
        'ZERIO_BAD_ARGUMENT',
        `onSubscribe must answer with a boolean, not with a promise, so the peer ${describe(peer.id)} was refused; look its membership up before, or call topic.add later.`
      )
  } finally {
    const topic = topics.find(name)
    // The handler may have ended its connection.
    if (allowed !== true || !peer.isOpen) answer(Code.SubscribeRefused)
    else if (topic === undefined) answer(Code.SubscribeRefused, 'the server has no topic of this name now')
    else {
      // Before the first message of the topic, as long as the connection takes it.
      answer(DONE)
      add(topic, peer)
    }
  }
}

function add(topic: Topic, peer: Peer): void {
  try {
    topic.add(peer)
  } catch (error) {
    // The program has a claim open on the connection: the peer is a member, and gets the values later.
    if (!topic.has(peer)) throw error
  }
}

function isThenable(value: unknown): boolean {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
