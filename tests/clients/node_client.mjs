// Runs a .tflite file with LiteRT.js in Node.js:
// node --experimental-wasm-relaxed-simd node_client.mjs MODEL INPUT OUTPUT
// Without the flag LiteRT.js chooses its build for old browsers, whose results differ in the last
// digits.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { runInThisContext } from "node:vm";
import { run } from "./litert_js.mjs";

const package_ = new URL("../../.clients/node/node_modules/@litertjs/core/", import.meta.url);
const wasm = new URL("wasm/", package_).pathname;
const { version } = JSON.parse(readFileSync(new URL("package.json", package_)));

// LiteRT.js expects these globals of a web worker and of CommonJS; ES modules in Node.js lack them.
Object.assign(globalThis, {
  self: globalThis,
  require: createRequire(import.meta.url),
  __dirname: wasm,
  __filename: wasm + "litert.js",
  importScripts: (path) => runInThisContext(readFileSync(path, "utf8"), { filename: path }),
});

const [model, source, target] = process.argv.slice(2);
const core = await import(new URL("dist/index.js", package_));
const output = await run(core, wasm, "wasm", readFileSync(model), readFileSync(source));
writeFileSync(target, output);
console.log(JSON.stringify({ version: `LiteRT.js ${version}, node ${process.versions.node}` }));
process.exit(0);
