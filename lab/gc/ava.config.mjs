// Tests of the garbage laboratory that are not a part of `npm test`: npx ava --config lab/gc/ava.config.mjs
export default { files: ['lab/gc/*.test.mjs'], timeout: '60s' }
