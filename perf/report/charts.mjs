// The charts of one report: sections describe them, and they are drawn as SVG files beside the page.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

export class Charts {
  #folder
  #draw
  #charts = new Map()

  /**
   * @param {string} folder for the files, beside the page
   * @param {((chart: object) => Promise<string>) | null} draw null: pages have no charts
   */
  constructor(folder, draw) {
    this.#folder = folder
    this.#draw = draw
  }

  /** @param {string} name of the file @param {object} chart see perf/extern/charts.mjs */
  add(name, chart) {
    if (chart.rows.length > 0) this.#charts.set(name, chart)
  }

  /** The Markdown that shows a chart. */
  image(name) {
    const chart = this.#charts.get(name)
    if (chart === undefined || this.#draw === null) return ''
    return `![${chart.title}](${basename(this.#folder)}/${name}.svg)\n`
  }

  async write() {
    if (this.#draw === null) return
    mkdirSync(this.#folder, { recursive: true })
    for (const name of readdirSync(this.#folder)) if (name.endsWith('.svg')) rmSync(join(this.#folder, name))
    for (const [name, chart] of this.#charts) {
      writeFileSync(join(this.#folder, `${name}.svg`), `${await this.#draw(chart)}\n`)
    }
  }
}
