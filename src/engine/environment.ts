// Variables of the environment that change how zerio runs.

/** The variable's value; undefined when it is not set, or when the process may not read it (Deno without `--allow-env`). */
export function variable(name: string): string | undefined {
  try {
    return process.env[name]
  } catch {
    return undefined
  }
}
