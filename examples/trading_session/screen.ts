// What the user sees while the demo runs: a table redrawn in place, or plain lines without a terminal.

import type { Flags } from './flags.js'
import { legend, plainLine, type Row, tableOf, whole } from './format.js'

export interface Screen {
  /** Shows a row that has just got a new second. */
  update(row: Row): void
  close(): void
}

export function openScreen(rows: Row[], flags: Flags): Screen {
  // A reader that has left (`npm start | head`) is no error of this program.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  return process.stdout.isTTY ? new Live(rows, flags) : new Plain()
}

const hideCursor = '\x1b[?25l'
const showCursor = '\x1b[?25h'
const clearLineEnd = '\x1b[K'
const clearBelow = '\x1b[J'
const clearScreen = '\x1b[2J\x1b[H'

class Live implements Screen {
  private drawnLines = 0
  private drawnColumns = process.stdout.columns
  private readonly restore = () => process.stdout.write(showCursor)

  constructor(
    private readonly rows: Row[],
    private readonly flags: Flags
  ) {
    process.on('exit', this.restore)
    process.stdout.write(hideCursor)
  }

  update(): void {
    const { columns, rows: height } = process.stdout
    // A terminal that was resized has wrapped the old lines: there is no telling where they are now.
    const start = columns === this.drawnColumns ? this.toTop() : clearScreen
    // One write, every line overwritten rather than erased first: nothing flickers.
    const lines = this.lines().slice(0, height - 1)
    const body = lines.map((line) => `${line.slice(0, columns - 1)}${clearLineEnd}\n`).join('')
    process.stdout.write(`${start}${body}${clearBelow}`)
    this.drawnLines = lines.length
    this.drawnColumns = columns
  }

  close(): void {
    // The summary takes the place of the live table.
    process.stdout.write(`${this.toTop()}${clearBelow}${showCursor}`)
    this.drawnLines = 0
    process.off('exit', this.restore)
  }

  private toTop(): string {
    return this.drawnLines > 0 ? `\x1b[${this.drawnLines}A\r` : ''
  }

  private lines(): string[] {
    const { seconds, clients, ticksPerSecond, ordersPerSecond, wait } = this.flags
    const table = tableOf(
      this.rows.map(({ name, second, window }) => ({
        name,
        measured: second,
        collections: (window ?? second)?.collections ?? 0
      }))
    )
    return [
      `${clients} client${clients === 1 ? '' : 's'} (${wait}); to each ${whole(ticksPerSecond)} ticks/s, from each ${whole(ordersPerSecond)} orders/s`,
      `${progress(this.rows[0].window?.elapsedMs, seconds)}; Ctrl-C stops. The last second of each process:`,
      ...table.split('\n'),
      legend
    ]
  }
}

class Plain implements Screen {
  update(row: Row): void {
    const { name, second, window } = row
    if (!second) return
    const when = (window ? `${Math.round(window.elapsedMs / 1000)} s` : 'warm-up').padStart(7)
    process.stdout.write(`${when}  ${plainLine(name, second, (window ?? second).collections)}\n`)
  }

  close(): void {}
}

function progress(elapsedMs: number | undefined, seconds: number): string {
  return elapsedMs === undefined
    ? 'warming up'
    : `measuring ${Math.round(elapsedMs / 1000)} s of ${seconds} s`
}
