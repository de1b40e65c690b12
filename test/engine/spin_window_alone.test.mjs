// When a loop with `adaptive` spins, without a loop: events by a clock of the test's own.
import test from 'ava'
import { randomFrom } from '../helpers/link.mjs'
import { native } from '../helpers/wire_native.mjs'

const { SpinWindow } = native
const WORTH_US = 50
const LATE_US = 20
/** A loop whose sleep an event ends finds it so late. */
const WOKEN_US = 30

/** A loop with one window, on a clock that only it moves. */
class Loop {
  window = new SpinWindow(WORTH_US)
  nowUs = 1000
  #dueUs = 1000
  spunUs = 0
  caught = 0
  events = 0

  /** The next event comes so long after the one before. Returns whether it found the loop awake. */
  event(gapUs) {
    this.#dueUs += gapUs
    this.events++
    // It has come with the one before.
    if (this.#dueUs <= this.nowUs) return this.#catch()
    const spins = this.#spinUntil(this.#dueUs)
    this.nowUs = this.#dueUs + (spins ? 0 : WOKEN_US)
    this.window.onEvent(this.nowUs, spins)
    return spins && this.#catch()
  }

  #catch() {
    this.caught++
    return true
  }

  /** Sleeps and spins as the window says. Returns whether it spins at the end. */
  #spinUntil(dueUs) {
    let now = this.nowUs
    while (now < dueUs) {
      if (this.window.contains(now)) {
        this.spunUs++
        now++
        continue
      }
      const begins = Math.ceil(this.window.begins(now))
      if (begins < 0 || begins + LATE_US >= dueUs) return false
      this.window.onWoken(LATE_US)
      now = begins + LATE_US
    }
    return this.window.contains(dueUs)
  }

  /** Forgets what was before. */
  begin() {
    this.spunUs = this.caught = this.events = 0
  }

  get spunUsPerEvent() {
    return this.spunUs / this.events
  }
}

const times = (count, step) => {
  for (let i = 0; i < count; i++) step(i)
}

test('events every 100 µs: it sleeps for more than half of the time, and spins when they come', (t) => {
  const loop = new Loop()
  times(200, () => loop.event(100))
  loop.begin()
  times(1000, () => loop.event(100))
  t.true(loop.caught > 950, `caught ${loop.caught} of 1000`)
  t.true(loop.spunUsPerEvent < 45, `spun ${loop.spunUsPerEvent} µs for each`)
})

test('events every 10 to 20 µs: it never sleeps', (t) => {
  const loop = new Loop()
  const random = randomFrom(1)
  times(200, () => loop.event(10 + random(11)))
  loop.begin()
  times(1000, () => loop.event(10 + random(11)))
  t.true(loop.caught > 990, `caught ${loop.caught} of 1000`)
})

test('events that come at any time, and seldom, are slept for', (t) => {
  const loop = new Loop()
  const random = randomFrom(2)
  times(5000, () => loop.event(1 + random(20_000)))
  loop.begin()
  times(2000, () => loop.event(1 + random(20_000)))
  // It spins through 32 gaps of at most 2 ms now and then, to see whether it pays by now.
  t.true(loop.spunUsPerEvent < 60, `spun ${loop.spunUsPerEvent} µs for each`)
})

test('a new rhythm is learned', (t) => {
  const loop = new Loop()
  for (const gapUs of [100, 400, 15, 250, 100]) {
    times(200, () => loop.event(gapUs))
    loop.begin()
    times(300, () => loop.event(gapUs))
    t.true(loop.caught > 270, `caught ${loop.caught} of 300 at ${gapUs} µs`)
    t.true(loop.spunUsPerEvent < 45, `spun ${loop.spunUsPerEvent} µs for each at ${gapUs} µs`)
  }
})

test('events that come after a rest of seconds find it asleep, and those behind them do not', (t) => {
  const loop = new Loop()
  times(200, () => loop.event(20))
  t.false(loop.event(3_000_000))
  loop.begin()
  times(100, () => loop.event(20))
  t.true(loop.caught > 97)
})

test('where a loop cannot sleep until a time, it spins from the last event on, if that pays', (t) => {
  const loop = new Loop()
  loop.window.sleepFails()
  times(200, () => loop.event(40))
  loop.begin()
  times(100, () => loop.event(40))
  t.true(loop.caught > 97)
  times(20_000, () => loop.event(100))
  loop.begin()
  times(10_000, () => loop.event(100))
  t.is(loop.window.begins(loop.nowUs), -1)
  t.true(loop.spunUsPerEvent < 5, `spun ${loop.spunUsPerEvent} µs for each`)
})

test('a program that is always busy, and sees nothing as it comes, does not spin', (t) => {
  const window = new SpinWindow(WORTH_US)
  let spins = 0
  for (let i = 1; i <= 100_000; i++) {
    window.onEvent(i * 30, false)
    if (window.contains(i * 30)) spins++
  }
  t.true(spins < 2500, `it spun after ${spins} of 100,000`)
})

test('a program that sends all the time and gets no answer does not spin', (t) => {
  for (const gapUs of [5, 30, 49, 51, 500]) {
    const window = new SpinWindow(WORTH_US)
    let nowUs = 1000
    let spins = 0
    times(20_000, (i) => {
      nowUs += gapUs
      if (i > 10_000 && window.contains(nowUs - 1)) spins++
      window.onSent(nowUs)
    })
    t.true(spins < 500, `it spins in ${spins} of 10,000 gaps of ${gapUs} µs`)
  }
})

test('an answer is waited for by what answers take, however seldom the program asks', (t) => {
  const window = new SpinWindow(WORTH_US)
  const random = randomFrom(3)
  let nowUs = 1000
  let caught = 0
  const ask = () => {
    nowUs += 1000 + random(50_000)
    window.onSent(nowUs)
    nowUs += 25
    const spins = window.contains(nowUs)
    window.onEvent(nowUs, spins)
    return spins
  }
  times(200, ask)
  times(200, () => {
    if (ask()) caught++
  })
  t.true(caught > 195, `caught ${caught} of 200`)
  // And nothing is waited for behind an answer.
  t.false(window.contains(nowUs + 60))
})
