// The environment of a user's shell: npm gives the scripts that it starts variables that are about this package.
export function userEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
}
