// The style and the script of the report's page.

export const style = `
:root { color-scheme: light dark; --text: #1b1f24; --dim: #5a6470; --line: #d5dae0; --page: #fff; --heap: #3b7dd8; --external: #9cc2f2; --minor: #e0a030; --major: #c8402a }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --dim: #9aa5b1; --line: #3a424c; --page: #14181d; --external: #24476f } }
body { margin: 0 auto; max-width: 1100px; padding: 24px; font: 14px/1.45 system-ui, sans-serif; color: var(--text); background: var(--page) }
h1 { font-size: 20px; margin: 0 } h2 { font-size: 16px; margin: 32px 0 8px } p { color: var(--dim); margin: 4px 0 12px }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 12px; margin: 20px 0 }
dl div { border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px }
dt { color: var(--dim) } dd { margin: 0; font-size: 20px } dd small { display: block; font-size: 12px; color: var(--dim) }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th { color: var(--dim); font-weight: 500 } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
figure { margin: 0 0 16px } figcaption { color: var(--dim) } svg { width: 100%; height: auto; display: block }
svg text { fill: var(--dim); font-size: 12px } svg line { stroke: var(--line) }
.heap { fill: var(--heap) } .external { fill: var(--external) } .minor { fill: var(--minor) } .major { fill: var(--major) }
.key::before { content: ''; display: inline-block; width: 10px; height: 10px; margin: 0 4px 0 12px; background: var(--color) }
#flame { position: relative; overflow: hidden; border: 1px solid var(--line) }
#flame button { position: absolute; height: 17px; padding: 0 3px; border: 0; border-right: 1px solid var(--page); font: 11px/17px system-ui, sans-serif; color: #14181d; text-align: left; white-space: nowrap; overflow: hidden; cursor: pointer }
#flame button.outside { display: none } #flame button.above { opacity: 0.6 } #flame button:focus-visible { outline: 2px solid var(--text); outline-offset: -2px }
#said { min-height: 3em; white-space: pre-line; font-variant-numeric: tabular-nums }
`

/** A click makes a function as wide as the graph; a second one shows all again. */
export const script = `
const flame = document.getElementById('flame')
const said = document.getElementById('said')
let zoomed
function zoom(to) {
  zoomed = to === zoomed ? undefined : to
  const left = zoomed ? Number(zoomed.dataset.left) : 0
  const share = zoomed ? Number(zoomed.dataset.share) : 1
  const top = zoomed ? parseFloat(zoomed.style.top) : 0
  for (const block of flame.children) {
    const from = (Number(block.dataset.left) - left) / share
    const part = Number(block.dataset.share) / share
    const isAbove = parseFloat(block.style.top) < top
    block.classList.toggle('above', isAbove)
    block.classList.toggle('outside', from + part < 1e-6 || from > 1 - 1e-6)
    block.style.left = Math.max(0, from) * 100 + '%'
    block.style.width = (Math.min(1, from + part) - Math.max(0, from)) * 100 + '%'
  }
}
if (flame) {
  flame.addEventListener('click', (event) => { if (event.target !== flame) zoom(event.target) })
  for (const kind of ['mouseover', 'focusin']) flame.addEventListener(kind, (event) => { if (event.target !== flame) said.textContent = event.target.title })
}
`
