// The independent reader of one sending process: plain sockets that record when each message came, and whether it was in time.
//
// The sender also writes each message to a node:net socket at the same moment. This is the control: when it comes late,
// or when the system kept one of the two processes off its processors, the machine was late, and the cell is tried again.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createWebServer, get } from 'node:http'
import { connect, createServer } from 'node:net'
import { dataFrame, hello, readFrames, welcome } from './wire.mjs'

/** From here on a message is late: a loaded machine takes less, and a forgotten flush takes longer. */
export const LATE_MS = 150
/** A message may be late by the time that the machine took, and by this. */
const UNEXPLAINED_MS = 75
const TRIES_MAX = 4
const LANES = ['server', 'client']

export const now = () => Number(process.hrtime.bigint()) / 1e6

/** Milliseconds for which this thread was ready to run and had no processor. */
export function runDelayMs() {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}

export class Observer {
  /** By name: `{ ok, text }`. */
  results = new Map()
  faults = []
  #cells = new Map()
  #early = []
  #servers = []
  #sockets = new Set()
  #busy
  #process
  #control
  #peers = new Map()

  /** `busy`: messages come to the sender every millisecond, on both of its connections. */
  static async start({ busy = false } = {}) {
    const observer = new Observer()
    observer.#busy = busy
    const listen = async (server) => {
      observer.#servers.push(server)
      server.on('connection', (socket) => observer.#keep(socket))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server.address().port
    }
    observer.ports = {
      control: await listen(createServer({ noDelay: true }, (socket) => observer.#takeControl(socket))),
      lane: await listen(createServer({ noDelay: true }, (socket) => observer.#takeClient(socket))),
      web: await listen(createWebServer((_request, response) => response.end('body')))
    }
    return observer
  }

  /** The process that sends, for what only its starter can do. */
  set process(child) {
    this.#process = child
  }

  /** How many lanes and control connections are still open. */
  get isSilent() {
    return [...this.#sockets].every((socket) => socket.readableEnded || socket.destroyed)
  }

  close() {
    for (const socket of this.#sockets) socket.destroy()
    for (const server of this.#servers) server.close()
  }

  /** Messages that belong to no cell; none, once the sender has ended. */
  get unexplained() {
    return this.#early.map(({ lane, payload }) => `the ${lane} sent ${payload.toString('latin1', 0, 40)}`)
  }

  /** For a sender that has ended: what is missing, or undefined. */
  missing(name) {
    const cells = [...this.#cells.values()].filter((cell) => cell.name === name)
    if (cells.length === 0) return 'the sender did not get so far'
    for (const cell of cells) {
      if (cell.sent.size < cell.count) return `the control has ${cell.sent.size} of ${cell.count}`
      for (const lane of cell.lanes) {
        const { size } = cell[lane]
        if (size < cell.count) return `of ${cell.count} messages of the ${lane}, ${size} arrived`
      }
    }
    return undefined
  }

  #keep(socket) {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    return socket
  }

  #takeControl(socket) {
    this.#control = socket
    let rest = ''
    socket.setEncoding('utf8').on('data', (text) => {
      const at = now()
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      for (const line of lines) this.#obey(JSON.parse(line), at)
    })
  }

  #tell(op, more) {
    if (!this.#control.destroyed) this.#control.write(`${JSON.stringify({ op, ...more })}\n`)
  }

  #obey(line, at) {
    const cell = this.#cells.get(line.cell)
    if (line.op === 'ready') this.#connect('server', line.port)
    else if (line.op === 'cell') this.#open(line)
    else if (line.op === 'sent') {
      cell.sent.set(line.index, { sentAt: line.at, heardAt: at })
      this.#look(cell)
    } else if (line.op === 'over') this.#judge(cell, line)
    else if (line.op === 'fault') this.faults.push(line.text)
    else this.#ask(line)
  }

  #open({ cell: number, name, count, lanes = LANES }) {
    const cell = { number, name, count, lanes, sent: new Map(), delayMs: runDelayMs() }
    for (const lane of lanes) cell[lane] = new Map()
    this.#cells.set(number, cell)
    for (const { lane, payload, at } of this.#early.splice(0)) this.#hear(lane, payload, at)
  }

  #hear(lane, payload, at = now()) {
    const [number, index] = payload.toString('latin1').split(':', 2).map(Number)
    const cell = this.#cells.get(number)
    if (cell === undefined) {
      // A message may be read before the line of the control that announces its cell.
      this.#early.push({ lane, payload: Buffer.from(payload), at })
      return
    }
    if (cell[lane].has(index)) this.faults.push(`${cell.name}: the ${lane} sent ${index} twice`)
    else if (index !== cell[lane].size)
      this.faults.push(`${cell.name}: ${index} came after ${cell[lane].size - 1}`)
    cell[lane].set(index, at)
    this.#look(cell)
  }

  #look(cell) {
    if ([cell.sent, ...cell.lanes.map((lane) => cell[lane])].some((heard) => heard.size < cell.count)) return
    this.#tell('heard', { cell: cell.number })
  }

  #judge(cell, { tries, delayMs }) {
    const { ok, text, ms, machineMs } = this.#lateness(cell, delayMs)
    const again = !ok && machineMs > ms - UNEXPLAINED_MS && tries < TRIES_MAX
    if (!again && (!this.results.has(cell.name) || !ok)) this.results.set(cell.name, { ok, text })
    this.#tell('verdict', { cell: cell.number, again })
  }

  #lateness(cell, delayMs) {
    let machineMs = Math.max(delayMs, runDelayMs() - cell.delayMs)
    let latest = { ms: 0, lane: '' }
    const lost = {}
    for (let index = 0; index < cell.count; index++) {
      const control = cell.sent.get(index)
      if (control === undefined) {
        return { ok: false, text: 'the callback did not come', ms: Number.POSITIVE_INFINITY, machineMs }
      }
      machineMs = Math.max(machineMs, control.heardAt - control.sentAt)
      for (const lane of cell.lanes) {
        if (!cell[lane].has(index)) lost[lane] = (lost[lane] ?? 0) + 1
        const ms = (cell[lane].get(index) ?? now()) - control.sentAt
        if (ms > latest.ms) latest = { ms, lane }
      }
    }
    const whole = Object.entries(lost).map(([lane, many]) => `${many} of the ${lane} not at all`)
    const text = [`${latest.ms.toFixed(0)} ms late, from the ${latest.lane}`, ...whole].join(', ')
    return { ok: latest.ms < LATE_MS && whole.length === 0, text, ms: latest.ms, machineMs }
  }

  /** A peer of the sender's server. */
  #connect(name, port) {
    const socket = this.#keep(connect({ host: '127.0.0.1', port, noDelay: true }))
    socket.write(hello(name))
    this.#peers.set(name, socket)
    const isLane = name === 'server'
    readFrames(
      socket,
      (payload) => isLane && this.#hear('server', payload),
      () => isLane && this.#makeNoise(socket)
    )
  }

  /** The sender's client. */
  #takeClient(socket) {
    const isLane = !this.#peers.has('client')
    if (isLane) this.#peers.set('client', socket)
    readFrames(
      socket,
      (payload) => isLane && this.#hear('client', payload),
      () => {
        socket.write(welcome('observer'))
        if (isLane) this.#makeNoise(socket)
      }
    )
  }

  #makeNoise(socket) {
    if (!this.#busy) return
    const timer = setInterval(() => socket.destroyed || socket.write(dataFrame('noise')), 1)
    socket.on('close', () => clearInterval(timer))
  }

  #ask({ op, name, port, afterMs }) {
    if (op === 'poke') this.#peers.get(name).write(dataFrame('poke'))
    else if (op === 'connect') setTimeout(() => this.#connect(name, port), afterMs ?? 0)
    else if (op === 'disconnect') this.#peers.get(name)?.end()
    else if (op === 'pause') this.#peers.get(name).pause()
    else if (op === 'resume') this.#peers.get(name).resume()
    else if (op === 'net') this.#tell('poked')
    else if (op === 'dial') this.#keep(connect({ host: '127.0.0.1', port }))
    else if (op === 'request') get({ host: '127.0.0.1', port, agent: false }).on('error', () => {})
    else if (op === 'ipc') this.#process.send('poke')
    else if (op === 'stdin') this.#process.stdin.write('poke\n')
    else this.faults.push(`the sender asked for ${op}`)
  }
}
