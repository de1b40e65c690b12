// Attacks a server. Arguments: port. Commands: `begin <name of attack>`, or `begin nothing`, which only uses the processor as an attack
// does; `end <n>` begins no more connections, waits until the server has closed those that are left, and prints how many there were.

import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { attacks } from './attacks.mjs'

const CLOSED_WITHIN_MS = 5000
/** New connections a second at most: a distant machine makes no more, and one core must be left to the good peers. */
const RATE_MAX = 2000
const port = Number(process.argv[2])
const open = new Set()
let made = 0
let attack
let going = false
let ended = Promise.resolve()

function openOne(done) {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  open.add(socket)
  made++
  if (attack.reads === false) socket.pause()
  else socket.on('data', () => {})
  // The attacker keeps its own half open for as long as the server allows.
  socket.on('end', () => socket.end())
  socket.on('error', () => {})
  socket.once('close', () => {
    open.delete(socket)
    done()
  })
  socket.once('connect', () => attack.one(socket, () => going))
}

async function computeInstead() {
  while (going) {
    const until = performance.now() + 1
    while (performance.now() < until);
    await new Promise(setImmediate)
  }
}

async function begin(name) {
  attack = attacks[name]
  going = true
  made = 0
  if (attack === undefined) return computeInstead()
  const began = performance.now()
  let busy = 0
  while (going) {
    while (going && busy < attack.width && made < 1 + ((performance.now() - began) / 1000) * RATE_MAX) {
      busy++
      openOne(() => busy--)
    }
    await pause(2)
  }
}

async function end(number) {
  going = false
  await ended
  if (attack?.legal) for (const socket of open) socket.destroy()
  const until = performance.now() + CLOSED_WITHIN_MS
  // An attacker that does not read cannot see the end either.
  while (open.size > 0 && performance.now() < until) {
    for (const socket of open) socket.resume()
    await pause(5)
  }
  const left = open.size
  for (const socket of open) socket.destroy()
  console.log(JSON.stringify({ [`end ${number}`]: true, made, left }))
}

console.log(JSON.stringify({ ready: true }))
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [, command, rest] = /^(\w+) (.*)$/.exec(line)
    if (command === 'begin') ended = begin(rest)
    else end(rest)
  })
  .on('close', () => process.exit(0))
