// What a process writes, as text.

/** The texts grow while the process writes; its pipes are `stdout` and `stderr`. */
export function outputOf(child) {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text
    })
  }
  return output
}
