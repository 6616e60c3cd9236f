// Runs a .tflite file with LiteRT.js in Node.js:
// node --experimental-wasm-relaxed-simd node_client.mjs MODEL INPUT OUTPUT
// Without the flag LiteRT.js chooses its build for old browsers, whose results differ in the last
// digits.

import { readFileSync, writeFileSync } from "node:fs";
import { imported } from "./node_kit.mjs";
import { run } from "./litert_js.mjs";

const package_ = new URL("../../.clients/node/node_modules/@litertjs/core", import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(`${package_}/package.json`));

const [model, source, target] = process.argv.slice(2);
const core = await imported(package_);
const output = await run(
  core, `${package_}/wasm/`, "wasm", readFileSync(model), readFileSync(source),
);
writeFileSync(target, output);
console.log(JSON.stringify({ version: `LiteRT.js ${version}, node ${process.versions.node}` }));
process.exit(0);
