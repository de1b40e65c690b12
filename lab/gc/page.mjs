// The page of `zerio gc --html` in headless Chromium: it loads nothing else, reports no error, and its flame graph can be enlarged.
//
// node lab/gc/page.mjs [--screenshot FILE.png]; Chromium is `chromium`, or the program that CHROMIUM names.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { InspectorSocket, inspectorUrls } = createRequire(import.meta.url)(
  '../../dist/cli/inspector_socket.js'
)
const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const { values } = parseArgs({ options: { screenshot: { type: 'string' } } })
const folder = mkdtempSync(join(tmpdir(), 'zerio-page-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))

/** A server with a cache that is emptied now and then, and a worker that asks it. */
writeFileSync(
  join(folder, 'shop.cjs'),
  `
  const http = require('node:http')
  const { Worker, isMainThread, workerData } = require('node:worker_threads')
  const cache = new Map()
  function readOrder(text) { return JSON.parse(text) }
  function priceOf(order) { return order.lines.map((line) => ({ ...line, total: line.price * line.count })) }
  function render(order) { return Buffer.from(JSON.stringify({ id: order.id, lines: priceOf(order), at: new Date(0) })) }
  function remember(id, answer) { if (cache.size > 3000) cache.clear(); cache.set(id + '-' + Math.random(), answer) }
  function handle(request, response) {
    let text = ''
    request.setEncoding('utf8').on('data', (part) => { text += part }).on('end', () => {
      const order = readOrder(text)
      const answer = render(order)
      remember(order.id, answer)
      response.end(answer)
    })
  }
  if (isMainThread) {
    const server = http.createServer(handle).listen(0, '127.0.0.1', () => {
      new Worker(__filename, { workerData: server.address().port }).on('exit', () => { server.closeAllConnections(); server.close() })
    })
  } else {
    const agent = new http.Agent({ keepAlive: true })
    const lines = Array.from({ length: 40 }, (_, i) => ({ name: 'article ' + i, price: i * 1.5, count: i }))
    const end = Date.now() + 4000
    let id = 0
    let asking = 8
    const ask = () => {
      if (Date.now() > end) return --asking === 0 && agent.destroy()
      const request = http.request({ port: workerData, host: '127.0.0.1', method: 'POST', agent }, (response) => response.resume().on('end', ask))
      request.end(JSON.stringify({ id: id++, lines }))
    }
    for (let i = 0; i < asking; i++) ask()
  }
`
)
const page = join(folder, 'report.html')
const run = spawnSync(process.execPath, [command, 'gc', '--html', page, join(folder, 'shop.cjs')], {
  encoding: 'utf8'
})
if (run.status !== 0) throw new Error(run.stderr)

const chromium = spawn(
  process.env.CHROMIUM ?? 'chromium',
  [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${join(folder, 'profile')}`,
    '--remote-debugging-port=0',
    'about:blank'
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] }
)
process.on('exit', () => chromium.kill('SIGKILL'))
let said = ''
chromium.stderr.setEncoding('utf8').on('data', (text) => {
  said += text
})
const waitFor = async (what, read) => {
  for (let tries = 0; tries < 300; tries++) {
    const found = await read()
    if (found) return found
    await pause(50)
  }
  throw new Error(`${what}: it took too long\n${said}`)
}
const port = await waitFor(
  'Chromium starts',
  () => /DevTools listening on ws:\/\/[\d.]+:(\d+)\//.exec(said)?.[1]
)
const url = await waitFor('a page opens', async () =>
  (await inspectorUrls('127.0.0.1', Number(port))).find((one) => one.includes('/page/'))
)
const browser = await InspectorSocket.connect(url)
const problems = []
const requests = []
browser.onEvent = (method, params) => {
  if (method === 'Runtime.exceptionThrown') problems.push(params.exceptionDetails.exception.description)
  if (method === 'Log.entryAdded') problems.push(params.entry.text)
  if (method === 'Network.requestWillBeSent') requests.push(params.request.url)
}
for (const domain of ['Runtime', 'Log', 'Network', 'Page']) await browser.send(`${domain}.enable`)
await browser.send('Emulation.setDeviceMetricsOverride', {
  width: 1000,
  height: 1250,
  deviceScaleFactor: 1,
  mobile: false
})
const evaluate = async (expression) =>
  (await browser.send('Runtime.evaluate', { expression, returnByValue: true })).result.value
await browser.send('Page.navigate', { url: pathToFileURL(page).href })
await waitFor('the page is there', () => evaluate("document.readyState === 'complete' && !!window.zoom"))
if (values.screenshot !== undefined) {
  const { data } = await browser.send('Page.captureScreenshot', { format: 'png' })
  writeFileSync(values.screenshot, Buffer.from(data, 'base64'))
}

let failed = 0
const check = (isRight, what) => {
  console.log(`${isRight ? 'ok' : 'FAILED'} ${what}`)
  if (!isRight) failed++
}
const block =
  "[...flame.children].find((one) => one.textContent === 'handle' || one.textContent === 'render')"
check(
  (await evaluate("document.querySelectorAll('svg polygon').length")) === 4,
  'two threads have a time line'
)
check((await evaluate("document.querySelectorAll('svg rect.minor').length")) > 20, 'pauses have bars')
check((await evaluate('flame.children.length')) > 20, 'the flame graph has functions')
check(
  (await evaluate(`document.documentElement.scrollWidth <= innerWidth`)) === true,
  'nothing is wider than the page'
)
const before = await evaluate(`${block}.getBoundingClientRect().width`)
await evaluate(`${block}.dispatchEvent(new MouseEvent('mouseover', { bubbles: true }))`)
check(
  /shop\.cjs:\d+\n.* itself /.test(await evaluate('said.textContent')),
  'a function under the mouse is described'
)
await evaluate(`${block}.click()`)
const enlarged = await evaluate(`${block}.getBoundingClientRect().width / flame.clientWidth`)
check(enlarged > 0.99 && enlarged < 1.01, 'a click makes a function as wide as the graph')
await evaluate(`${block}.click()`)
const after = await evaluate(`${block}.getBoundingClientRect().width`)
check(before > 0 && Math.abs(after - before) < 0.5, 'a second click shows all again')
check(problems.length === 0, `the page reports no error ${problems.join('; ')}`)
check(requests.length === 1, `the page loads nothing but itself (${requests.length} requests)`)
browser.close()
process.exit(failed === 0 ? 0 : 1)
