// The limits of the server under attack: short times, so that an attack meets them within a second.

export const ATTACK_LIMITS = Object.freeze({
  maxPeers: 64,
  maxHandshakes: 128,
  handshakeTimeoutMs: 500,
  heartbeatMs: 100,
  lingerMs: 200,
  backlog: 128
})
