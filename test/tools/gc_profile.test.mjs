// The stacks of allocating functions: whole, with known callers, and in files that other tools read.
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { runScript } from '../helpers/child.mjs'

/** V8 inlines no function into another one. */
const flags = ['--no-opt', '--no-maglev']
/** `outer` calls `inner`, which allocates. */
const script = `
  import { GcProbe } from 'zerio/gc'
  let kept
  function inner(i) { kept = new Array(1000).fill(i) }
  function outer(i) { inner(i) }
  const probe = new GcProbe({ samplingBytes: 4096 }).start()
  for (let i = 0; i < 5000; i++) outer(i)
  const before = probe.report().profile
  const report = probe.stop()
`

async function printed(t, rest) {
  const { code, stdout, stderr } = await runScript(`${script}\n${rest}`, { flags })
  t.is(stderr, '')
  t.is(code, 0)
  return stdout
}

test.serial('the profile has who allocated, and who called it', async (t) => {
  const stdout = await printed(
    t,
    'console.log(JSON.stringify({ before, profile: report.profile, bytes: report.profile.bytes, report }))'
  )
  const { before, profile, bytes, report } = JSON.parse(stdout)
  t.is(before, undefined)
  t.is(report.profile, undefined)
  const { frames, nodes } = profile
  t.true(nodes.every(([parent], place) => parent < place))
  const byName = (name) => nodes.filter(([, frame]) => frames[frame].functionName === name)
  const inner = byName('inner').sort((a, b) => b[2] - a[2])[0]
  t.true(inner[2] > bytes * 0.9 && bytes > 30e6 && bytes < 50e6, `${inner[2]} of ${bytes}`)
  const [outerParent, outerFrame] = nodes[inner[0]]
  t.is(frames[outerFrame].functionName, 'outer')
  t.true(outerParent >= 0)
  t.is(report.topAllocators[0].functionName, 'inner')
  // Each function once, and with the same place as in the list.
  t.is(report.topAllocators[0].line, frames[inner[1]].line)
})

test.serial('.heapprofile files are as V8 writes them', async (t) => {
  const { head, samples } = JSON.parse(await printed(t, 'console.log(report.profile.toHeapProfile())'))
  t.is(head.callFrame.functionName, '(root)')
  const found = new Map()
  let bytes = 0
  const visit = (node) => {
    t.false(found.has(node.id))
    found.set(node.id, node)
    bytes += node.selfSize
    node.children.forEach(visit)
  }
  visit(head)
  t.is(
    samples.reduce((sum, { size }) => sum + size, 0),
    bytes
  )
  for (const { nodeId, size } of samples) t.is(found.get(nodeId).selfSize, size)
  const inner = [...found.values()].find(({ callFrame }) => callFrame.functionName === 'inner')
  t.true(inner.callFrame.url.length > 0)
  t.true(inner.callFrame.lineNumber > 0)
})

/** The fields of a message of Protocol Buffers: `[field, number or bytes]`. */
function fieldsOf(bytes) {
  const fields = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    const value = varint()
    if (tag % 8 === 0) fields.push([tag >> 3, value])
    else {
      fields.push([tag >> 3, bytes.subarray(at, at + value)])
      at += value
    }
  }
  return fields
}

test.serial('pprof files have the stacks, from the function to the beginning', async (t) => {
  const stdout = await printed(
    t,
    `
    const pprof = Buffer.from(report.profile.toPprof()).toString('base64')
    console.log(JSON.stringify({ pprof, bytes: report.profile.bytes }))
    `
  )
  const { pprof, bytes } = JSON.parse(stdout)
  const profile = fieldsOf(gunzipSync(Buffer.from(pprof, 'base64')))
  const all = (field) => profile.filter(([one]) => one === field).map(([, value]) => value)
  const texts = all(6).map(String)
  t.is(texts[0], '')
  const [type] = all(1).map((message) => Object.fromEntries(fieldsOf(message)))
  t.deepEqual([texts[type[1]], texts[type[2]]], ['alloc_space', 'bytes'])
  const functions = new Map(
    all(5).map((message) => {
      const { 1: id, 2: name } = Object.fromEntries(fieldsOf(message))
      return [id, texts[name]]
    })
  )
  const locations = new Map(
    all(4).map((message) => {
      const { 1: id, 4: line } = Object.fromEntries(fieldsOf(message))
      return [id, functions.get(Object.fromEntries(fieldsOf(line))[1])]
    })
  )
  const samples = all(2).map((message) => {
    const { 1: stack, 2: value } = Object.fromEntries(fieldsOf(message))
    return { stack: varintsOf(stack).map((id) => locations.get(id)), bytes: varintsOf(value)[0] }
  })
  t.is(
    samples.reduce((sum, sample) => sum + sample.bytes, 0),
    bytes
  )
  const most = samples.sort((a, b) => b.bytes - a.bytes)[0]
  t.deepEqual(most.stack.slice(0, 2), ['inner', 'outer'])
})

function varintsOf(packed) {
  const values = []
  let value = 0
  let factor = 1
  for (const byte of packed) {
    value += (byte & 127) * factor
    factor *= 128
    if (byte >= 128) continue
    values.push(value)
    value = 0
    factor = 1
  }
  return values
}
