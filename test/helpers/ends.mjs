// AVA loads this file first in each test file: one that something keeps alive after its last test fails, and is named.
// Without it such a file stays, and AVA waits for it without a word.
import { registerCompletionHandler } from 'ava'

const LIMIT_MS = 10_000

registerCompletionHandler(() => {
  const complain = () => {
    const kept = process.getActiveResourcesInfo().join(', ')
    throw new Error(
      `The tests of this file are over, and it does not end. What is active: ${kept || 'an engine'}.`
    )
  }
  setTimeout(complain, LIMIT_MS).unref()
})
