// A kit's JavaScript in Node.js: LiteRT.js or what stands in for it, and the kit's files.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';

export const kinds = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array };
export const bytes = (name) => new Uint8Array(readFileSync(name)).buffer;
export const pixels = (name, [width, height]) => (
  { width, height, data: new Uint8Array(bytes(name)) });

/**
 * LiteRT.js, whose WebAssembly is not loaded yet. core: the path of its package. It expects globals
 * of a web worker and of CommonJS, which ES modules in Node.js lack.
 */
export function imported(core) {
  Object.assign(globalThis, {
    self: globalThis, require: createRequire(`${core}/`),
    __dirname: `${core}/wasm/`, __filename: `${core}/wasm/litert.js`,
    importScripts: (path) => runInThisContext(readFileSync(path, 'utf8'), { filename: path }),
  });
  return import(`${core}/dist/index.js`);
}

export async function real(core) {
  const litert = await imported(core);
  await litert.loadLiteRt(`${core}/wasm/`);
  return litert;
}

/** Knows the outputs for the two golden inputs; gives zeros for any other one. */
export function recorded(kit, source, target) {
  class Tensor {
    constructor(values) { this.values = values; }
    async data() { return this.values; }
    delete() {}
  }
  const read = (input, name) => ({
    input: new kinds[source](bytes(`${kit}/golden/${input}.bin`)),
    output: new kinds[target](bytes(`${kit}/recorded/${name}.out`)),
  });
  const known = [read('input', 'image'), read('photo_input', 'photo')];
  const limit = source === 'float32' ? 1.01 / 127.5 : 1.01;
  const model = { async run([{ values }]) {
    const near = ({ input }) => input.every((value, i) => Math.abs(value - values[i]) <= limit);
    return [new Tensor(known.find(near)?.output ?? known[0].output.map(() => 0))];
  } };
  return { Tensor, loadAndCompile: async () => model };
}

/** What the self-test reads. sizes: [width, height] by the name of an image. */
export const filesOf = (kit, sizes) => ({
  readBytes: async (name) => bytes(`${kit}/${name}`),
  readImage: async (name) => {
    const stem = name.slice('golden/'.length, -'.png'.length);
    return pixels(`${kit}/recorded/${stem}.rgba`, sizes[stem]);
  },
});
