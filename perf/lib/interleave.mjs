// Runs what is compared in turn, repetition by repetition, so that all of it meets the same machine.

/**
 * @template T
 * @param {Record<string, () => Promise<T>>} programs
 * @param {number} repetitions
 * @param {(line: string) => void} progress
 * @returns {Promise<{ results: Record<string, T[]>, failures: Record<string, string> }>} a program that fails is not run
 *   again; everything else goes on
 */
export async function interleave(programs, repetitions, progress) {
  const results = {}
  const failures = {}
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const [name, run] of Object.entries(programs)) {
      if (failures[name] !== undefined) continue
      progress(`${repetition}/${repetitions}: ${name}`)
      try {
        const result = await run()
        results[name] = [...(results[name] ?? []), result]
      } catch (error) {
        failures[name] = error.message
        delete results[name]
        progress(`${name} failed: ${error.message}`)
      }
    }
  }
  return { results, failures }
}
