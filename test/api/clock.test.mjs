// readClock: monotonic nanoseconds, the same clock in all processes of the machine.

import test from 'ava'
import { readClock } from 'zerio'
import { runScript } from '../helpers/child.mjs'

test('readClock writes to the element asked for and to no other', (t) => {
  const times = new Float64Array(4)
  readClock(times)
  readClock(times, 2)
  t.true(times[0] > 0 && times[2] >= times[0])
  t.is(times[1], 0)
  t.is(times[3], 0)
})

test('readClock gives whole nanoseconds of the clock of process.hrtime and never goes back', (t) => {
  const times = new Float64Array(10_000)
  const before = process.hrtime.bigint()
  for (let i = 0; i < times.length; i++) readClock(times, i)
  const after = process.hrtime.bigint()
  t.true(BigInt(times[0]) >= before && BigInt(times.at(-1)) <= after)
  t.true(times.every((time, index) => Number.isInteger(time) && (index === 0 || time >= times[index - 1])))
  t.true(times.at(-1) > times[0])
})

test('the times of two processes can be compared', async (t) => {
  const times = new Float64Array(2)
  readClock(times, 0)
  const { stdout, code } = await runScript(`
    import { readClock } from 'zerio'
    const time = new Float64Array(1)
    readClock(time)
    console.log(time[0])
  `)
  readClock(times, 1)
  t.is(code, 0)
  t.true(Number(stdout) > times[0] && Number(stdout) < times[1])
})
