// The model in this browser: on WebGPU only where that is proven, and watched as long as it runs.

import {
  BYTE_STEP, HALF_TOLERANCE, Input, Output, SHA256, TOLERANCE,
} from '../web/contract.js';
import { Segmenter, loadLiteRt } from '../web/segnet.js';

const CORE = new URL('../litert/core/dist/index.js', import.meta.url).href;
const WASM = new URL('../litert/core/wasm/', import.meta.url).href;
const TIMED = 5; // inferences that give the time of one
const NOTICE_MS = 1000; // from a fault in use to the check that notices it, where inferences allow it
const SPARE_MS = 150; // of it, for all but the inferences
const WATCH_MS = 700; // at most, between two checks in use
const GPU_TRIAL_MS = 30000; // at most, of the trial of WebGPU
const GPU_RUN_MS = 5000; // at most, of an inference there: a driver may hang
const MOST_REPLACED = 3; // instances with faults, before the page gives up

export class Runtime {
  /** say: takes each line about the state. Throws an Error that says what is wrong. */
  static async start(say) {
    const runtime = new Runtime(say);
    say('Loading the model');
    runtime.bytes = await modelBytes();
    runtime.input = new Input(await bytesOf('golden/input.bin'));
    runtime.golden = new Output(await bytesOf('golden/output.bin'));
    runtime.litert = await loadLiteRt(CORE, WASM);
    say('Testing the model on wasm');
    await runtime.use('wasm').catch((error) => runtime.replace(error.message));
    await runtime.tryGpu();
    return runtime;
  }

  constructor(say) {
    Object.assign(this, { say, notes: [], replaced: 0, checked: 0, tookMs: 0 });
  }

  get accelerator() {
    return this.segmenter?.accelerator ?? 'wasm';
  }

  /**
   * Logits (HEIGHT, WIDTH, CLASSES) of an input tensor; after a fault they come from a new instance
   * on wasm. isChecked: the runtime is checked now, whenever it was checked last. `tookMs` is
   * that of the inference without the check.
   */
  async infer(tensor, isChecked = false) {
    try {
      const start = performance.now();
      const logits = await this.run(tensor);
      const now = performance.now();
      this.tookMs = now - start;
      if (isChecked || now - this.checked > pause(this.tookMs)) await this.check(tensor, logits);
      return logits;
    } catch (error) {
      await this.replace(error.message);
      return this.run(tensor);
    }
  }

  run(tensor) {
    const running = this.segmenter.infer(tensor);
    return this.accelerator === 'wasm' ? running : within(GPU_RUN_MS, running);
  }

  /**
   * Throws an Error if the golden input no longer gives the golden output, or gives just what this
   * other tensor has given: a runtime that is stuck may be stuck at the golden output.
   */
  async check(tensor, logits) {
    const output = await this.run(this.input);
    const isStuck = isEqual(output, logits) && !isClose(tensor, this.input);
    const fault = isStuck ? 'the output stays the same' : this.fault(output, this.accelerator);
    if (fault) throw new Error(fault);
    this.checked = performance.now();
  }

  /** A new instance of LiteRT.js on wasm, because of a fault. Throws if that one has it too. */
  async replace(fault) {
    const { accelerator } = this;
    this.replaced += 1;
    if (this.replaced > MOST_REPLACED) throw new Error(`this browser computes wrongly: ${fault}`);
    this.say(`A fault on ${accelerator}: ${fault}. Starting again on wasm`);
    attempt(() => this.litert.unloadLiteRt());
    await loadLiteRt(CORE, WASM);
    await this.use('wasm');
    this.notes = [`Started again after a fault on ${accelerator}: ${fault}.`];
    this.say(`A fault on ${accelerator} was noticed: ${fault}. A new instance on wasm goes on.`);
  }

  async use(accelerator) {
    this.segmenter = await Segmenter.create(this.litert, { model: this.bytes, accelerator });
    this.runMs = await this.trial(this.segmenter);
  }

  /** WebGPU takes over where it is right, really another path, and faster; else a note says why not. */
  async tryGpu() {
    if (!this.litert.isWebGPUSupported() || !this.litert.getWebGpuDevice()) {
      this.notes.push('This browser offers no WebGPU.');
      return;
    }
    this.say('Testing the model on WebGPU');
    let gpu;
    try {
      gpu = await Segmenter.create(this.litert, { model: this.bytes, accelerator: 'webgpu' });
      const runMs = await within(GPU_TRIAL_MS, this.trial(gpu));
      if (runMs > this.runMs) throw new Error(`it is slower: ${ms(runMs)} against ${ms(this.runMs)}`);
      this.segmenter.close();
      Object.assign(this, { segmenter: gpu, runMs });
    } catch (error) {
      attempt(() => gpu?.close());
      this.notes.push(`WebGPU is not used: ${error.message}.`);
    }
  }

  /** The kit's self-test, which runs over time. Returns the milliseconds of an inference after it. */
  async trial(segmenter) {
    await segmenter.selfTest({ stop: true });
    const times = [];
    for (let run = 0; run < TIMED; run++) {
      const start = performance.now();
      await segmenter.infer(this.input);
      times.push(performance.now() - start);
    }
    return times.sort((one, other) => one - other)[TIMED >> 1];
  }

  /** What is wrong with the output of the golden input, or ''. */
  fault(output, accelerator) {
    const tolerance = accelerator === 'wasm' ? TOLERANCE : HALF_TOLERANCE;
    const wrong = output.filter((value, i) => !(Math.abs(value - this.golden[i]) <= tolerance));
    return wrong.length ? `${wrong.length} of ${output.length} test values are wrong` : '';
  }
}

async function modelBytes() {
  const bytes = await bytesOf('model.tflite');
  if (!globalThis.crypto?.subtle) {
    throw new Error('this page needs HTTPS, or localhost: python -m export serve --lan');
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (found !== SHA256) {
    throw new Error('model.tflite is damaged: its SHA-256 is not that of this page. Copy it again');
  }
  return new Uint8Array(bytes);
}

async function bytesOf(name) {
  const response = await fetch(new URL(`../${name}`, import.meta.url));
  if (!response.ok) throw new Error(`${name} cannot be read: HTTP status ${response.status}`);
  return response.arrayBuffer();
}

/**
 * The milliseconds from one check to the end of the inference after which the next one is made. A
 * fault may begin with the first inference after a check; the one under way when the pause ends and
 * the check itself take `runMs` each. A network too slow for that is checked after each inference.
 */
function pause(runMs) {
  return Math.min(WATCH_MS, NOTICE_MS - SPARE_MS - 2 * runMs);
}

const isEqual = (one, other) => one.every((value, i) => value === other[i]);
// Whether two input tensors are of one picture, resized by another rule or not.
const isClose = (one, other) => one.every((value, i) => Math.abs(value - other[i]) <= 2 * BYTE_STEP);
const ms = (value) => `${value.toFixed(1)} ms`;

/** Releases what is broken, which may fail at that too; a new instance has memory of its own. */
function attempt(release) {
  try {
    release();
  } catch (error) {
    console.warn(error);
  }
}

/** The promise, which fails if it takes longer than `limit` milliseconds. */
function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it takes longer than ${limit} ms`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
