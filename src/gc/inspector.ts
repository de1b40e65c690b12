// A session with this thread's own inspector, whose answers are there before the call returns.
import type { Session } from 'node:inspector'

/** Throws where Node.js has no inspector, or where the permission model forbids it. */
export function openSession(): Session {
  // Not imported above: Node.js can be built without the inspector.
  const inspector = require('node:inspector') as typeof import('node:inspector')
  const session = new inspector.Session()
  session.connect()
  return session
}

/** Throws what the inspector answers as an error. */
export function post(session: Session, method: string, parameters?: object): unknown {
  let failure: Error | null = null
  let answer: unknown
  session.post(method, parameters, (error, result) => {
    failure = error
    answer = result
  })
  if (failure !== null) throw failure
  return answer
}
