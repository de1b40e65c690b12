// The ES module face of the package: the same objects as require('zerio') gives, so that both share one engine.
export * from './index.js'
