// Lines at the bottom of a terminal that stay there while another process writes above them.
//
// The terminal scrolls only what is above (its scroll region), so the other process needs no cooperation.

const saveCursor = '\x1b7'
const restoreCursor = '\x1b8'
const clearLine = '\x1b[2K'

export class BottomLines {
  #rows = 0
  #columns = 0
  readonly #restore = () => this.close()

  constructor(
    private readonly terminal: NodeJS.WriteStream,
    private readonly height: number
  ) {
    process.on('exit', this.#restore)
  }

  /** Missing lines are empty, lines too many or too long are cut. */
  draw(lines: readonly string[]): void {
    const { rows, columns } = this.terminal
    // On a terminal this small the program's own output is worth more.
    if (rows <= 2 * this.height) return
    let text = rows === this.#rows && columns === this.#columns ? '' : this.#reserve(rows, columns)
    text += saveCursor
    for (let i = 0; i < this.height; i++) {
      const line = (lines[i] ?? '').slice(0, columns - 1)
      text += `\x1b[${rows - this.height + 1 + i};1H${clearLine}${line}`
    }
    this.terminal.write(text + restoreCursor)
  }

  /** Gives the lines back to the terminal, empty. */
  close(): void {
    process.off('exit', this.#restore)
    if (this.#rows === 0) return
    const first = this.#rows - this.height + 1
    this.#rows = 0
    // Setting the region moves the cursor home.
    this.terminal.write(`${saveCursor}\x1b[r\x1b[${first};1H\x1b[J${restoreCursor}`)
  }

  #reserve(rows: number, columns: number): string {
    this.#rows = rows
    this.#columns = columns
    // Scrolls when the cursor is at the bottom, so that it is above the reserved lines afterwards, in its column.
    const room = `${'\x1bD'.repeat(this.height)}\x1b[${this.height}A`
    return `${room}${saveCursor}\x1b[1;${rows - this.height}r${restoreCursor}`
  }
}
