// Assertions about garbage: what passes, what fails and with which sentence, and that examples for test runners run.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { assertNoGarbage, expectBytesPerOperation } from 'zerio/gc'
import { runScript } from '../helpers/child.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

async function printed(t, script) {
  const { code, stdout, stderr } = await runScript(
    `import { assertNoGarbage, expectBytesPerOperation } from 'zerio/gc'\n${script}`
  )
  t.is(stderr, '')
  t.is(code, 0)
  return JSON.parse(stdout)
}

test.serial(
  'a process that stands still during the warm-up is no proof that a function makes no garbage',
  async (t) => {
    const [outcome] = await printed(
      t,
      `
      let average = 0
      let calls = 0
      const addToAverage = (i) => {
        for (const end = performance.now() + 300; ++calls === 50 && performance.now() < end; calls--);
        average = average * 0.9 + i * 0.05
      }
      let outcome = 'no garbage'
      try { assertNoGarbage(addToAverage, { timeLimitMs: 1000 }) } catch ({ code }) { outcome = code }
      console.log(JSON.stringify([outcome]))
    `
    )
    t.is(outcome, 'ZERIO_TOO_MUCH_GARBAGE')
  }
)

test.serial('a function without garbage passes, and one with 16 bytes fails by name', async (t) => {
  const [none, boxes] = await printed(
    t,
    `
      let sum = 0
      let average = 0
      const add = (i) => { sum = (sum + i) & 0xffff }
      function addToAverage(i) { average = average * 0.9 + i * 0.05 }
      const outcome = (check) => { try { return check().operations } catch ({ code, message }) { return { code, message } } }
      console.log(JSON.stringify([
        outcome(() => assertNoGarbage(add)),
        outcome(() => assertNoGarbage(addToAverage))
      ]))
    `
  )
  t.is(none, 100_000)
  t.is(boxes.code, 'ZERIO_TOO_MUCH_GARBAGE')
  const [sentence, heading, first] = boxes.message.split('\n')
  t.regex(
    sentence,
    /^The function 'addToAverage' allocates 1[67]\.\d B per operation, and may allocate 0 B\.$/
  )
  t.is(heading, 'Of that, by:')
  t.regex(first, /^ +\d+\.\d % +addToAverage +.*:\d+$/)
})

test.serial('max is for the heap and what is outside of it, and for promises too', async (t) => {
  const outcomes = await printed(
    t,
    `
      const code = async (check) => { try { await check(); return 'fine' } catch (error) { return error.code } }
      const bytes = () => new ArrayBuffer(1000)
      const later = async () => {}
      console.log(JSON.stringify([
        await code(() => expectBytesPerOperation(bytes, { max: 1200, operations: 20000 })),
        await code(() => expectBytesPerOperation(bytes, { max: 900, operations: 20000 })),
        await code(() => expectBytesPerOperation(later, { max: 64 })),
        await code(() => assertNoGarbage(later))
      ]))
    `
  )
  t.deepEqual(outcomes, ['fine', 'ZERIO_TOO_MUCH_GARBAGE', 'fine', 'ZERIO_TOO_MUCH_GARBAGE'])
})

test.serial('misuse and what the function throws are passed on', async (t) => {
  const work = () => {}
  for (const max of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined, null, 2 ** 53]) {
    t.throws(() => expectBytesPerOperation(work, { max }), { code: 'ZERIO_BAD_OPTION' }, String(max))
  }
  t.throws(() => expectBytesPerOperation(work), { code: 'ZERIO_BAD_OPTION' })
  t.throws(() => assertNoGarbage(work, { operation: 1 }), { code: 'ZERIO_BAD_OPTION' })
  t.throws(() => assertNoGarbage('work'), { code: 'ZERIO_BAD_ARGUMENT' })
  const fail = () => {
    throw new RangeError('enough')
  }
  t.throws(() => assertNoGarbage(fail), { instanceOf: RangeError })
  await t.throwsAsync(
    assertNoGarbage(async () => fail()),
    { instanceOf: RangeError }
  )
})

const example = (name) => join(root, 'docs', 'examples', 'gc_assertions', name)
const runners = {
  ava: [join(root, 'node_modules/ava/entrypoints/cli.mjs'), example('ava.mjs')],
  'node:test': ['--test', example('node_test.mjs')]
}
for (const [name, args] of Object.entries(runners)) {
  test.serial(`the example for ${name} passes`, async (t) => {
    // Runners that run in each other leave marks in the environment.
    const { AVA_PATH: _, NODE_TEST_CONTEXT: __, ...env } = process.env
    const { stdout } = await run(process.execPath, args, { cwd: root, env })
    t.regex(stdout, /2 tests passed|[#ℹ] pass 2/)
  })
}
