// The stacks of all threads of a program as one profile.
import type { GcFrame, GcProfileData } from '../gc/profile.js'
import { GcProfile } from '../gc/profile.js'
import type { GcState } from './gc_channel.js'

/** What a thread reports beside its figures. */
export interface ThreadDetails {
  state: GcState
  /** `undefined` for a thread that was not sampled, or ended without a last report. */
  profile: GcProfileData | undefined
}

/** With several threads, the first function of each stack is the thread. */
export function mergedProfile(details: readonly ThreadDetails[]): GcProfile {
  const frames: GcFrame[] = []
  const nodes: GcProfileData['nodes'] = []
  for (const { state, profile } of details) {
    if (profile === undefined) continue
    const thread = details.length > 1 ? nodes.push([-1, frames.length, 0]) - 1 : -1
    if (thread >= 0) frames.push({ functionName: `${state.pid} ${state.name}`, url: '', line: 1, column: 1 })
    const [frame0, node0] = [frames.length, nodes.length]
    frames.push(...profile.frames)
    for (const [parent, frame, bytes] of profile.nodes) {
      nodes.push([parent < 0 ? thread : node0 + parent, frame0 + frame, bytes])
    }
  }
  return new GcProfile({ frames, nodes })
}
