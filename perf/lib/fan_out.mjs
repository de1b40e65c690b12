// The blocks that every fan-out program in JavaScript runs: turns of the event loop whose CPU time counts, then one
// turn whose message is stamped with the time, so that the peers can say when the last of them had it.
import { setImmediate as nextTurn } from 'node:timers/promises'

export const STAMP_BYTES = 8

/**
 * @param {{ peers: number, perTurn: number, turns: number, blocks: number }} sizes
 * @param {(stamped: boolean) => void} sendTurn sends the messages of one turn to all peers
 * @param {{ next: () => Promise<number> }} answers nanoseconds from the stamp to the last peer
 * @returns {Promise<{ cpuNs: number[], lastUs: number[] }>} one of each per block
 */
export async function runBlocks({ peers, perTurn, turns, blocks }, sendTurn, answers) {
  const timedTurnUs = async () => {
    const answer = answers.next()
    sendTurn(true)
    return (await answer) / 1000
  }
  const cpuNs = []
  const lastUs = []
  await timedTurnUs()
  for (let block = 0; block < blocks; block++) {
    const before = process.cpuUsage()
    await runTurns(turns, sendTurn)
    const { user, system } = process.cpuUsage(before)
    cpuNs.push(((user + system) * 1000) / (turns * perTurn * peers))
    await timedTurnUs()
    lastUs.push(await timedTurnUs())
  }
  return { cpuNs, lastUs }
}

async function runTurns(turns, sendTurn) {
  await new Promise((resolve) => {
    let left = turns
    const turn = () => {
      if (left-- === 0) return resolve()
      sendTurn(false)
      setImmediate(turn)
    }
    turn()
  })
  // What the last turn left to be sent at its end belongs to it.
  await nextTurn()
}
