// One file in LiteRT.js, in node or in a page.

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array };

// core: the module @litertjs/core; wasm: where its wasm/ folder is; model, input: Uint8Array.
// Gives the output as Uint8Array. What the GPU refuses runs elsewhere without a word: its
// isFullyAccelerated was seen true for a file whose only operator it does not take.
export async function run(core, wasm, accelerator, model, input) {
  await core.loadLiteRt(wasm);
  const compiled = await core.loadAndCompile(model, { accelerator });
  const { dtype, shape } = compiled.getInputDetails()[0];
  const values = new ARRAYS[dtype](new Uint8Array(input).buffer); // a copy: aligned for any type
  const [logits] = await compiled.run(new core.Tensor(values, shape));
  const { buffer, byteOffset, byteLength } = await logits.data();
  return new Uint8Array(buffer, byteOffset, byteLength);
}
