// Runs one .tflite file in LiteRT.js, in Node.js or in a page.

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array };

// core: the module @litertjs/core; wasm: the path of its wasm/ folder; model, input: Uint8Array.
// Returns the output as Uint8Array. LiteRT.js does not report operators that the GPU does not
// support and runs them elsewhere: isFullyAccelerated was true for a file whose only operator the
// GPU does not support.
export async function run(core, wasm, accelerator, model, input) {
  await core.loadLiteRt(wasm);
  const compiled = await core.loadAndCompile(model, { accelerator });
  const { dtype, shape } = compiled.getInputDetails()[0];
  const values = new ARRAYS[dtype](new Uint8Array(input).buffer); // a copy: aligned for any type
  const [logits] = await compiled.run(new core.Tensor(values, shape));
  const { buffer, byteOffset, byteLength } = await logits.data();
  return new Uint8Array(buffer, byteOffset, byteLength);
}
