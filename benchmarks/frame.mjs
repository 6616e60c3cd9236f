// Times the JavaScript of kits from a frame to its overlay, in Node.js or in a page;
// benchmarks/frame.py runs it.

const WARM_ROUNDS = 20; // until the code is compiled
const HOLD = 1.25; // of the path `smooth`
const LARGE = 4e6; // pixels, from which one round in five is run

// litert: the loaded module @litertjs/core. kits: [{ name, web, model }], where web is the address
// of segnet.js and model the file's bytes. sizes: [[width, height]]. Returns objects of kit, path,
// width, height and times, which has the milliseconds of each stage in a list, a round each.
export async function measure(litert, kits, sizes, rounds) {
  const made = [];
  for (const { name, web, model } of kits) {
    const code = await import(web);
    const segmenter = await code.Segmenter.create(litert, { model });
    const views = 'document' in globalThis && code.Live
      ? { live: new code.Live(segmenter), smooth: new code.Live(segmenter, { hold: HOLD }) }
      : {};
    made.push({ name, code, segmenter, views });
  }
  const rows = [];
  for (const [width, height] of sizes) {
    const image = picture(width, height);
    const camera = 'document' in globalThis ? new Camera(image) : null;
    const read = (frame) => (camera ? camera.pixels(frame) : image);
    const paths = made.map((kit) => ({ ...kit, kept: {} })).flatMap((kit) => [
      [kit, 'exact', (frame) => exact(kit, () => read(frame))],
      ...Object.entries(kit.views).map(([path, view]) => [
        kit, path, (frame) => live(kit.segmenter, view, frame),
      ]),
    ]);
    const found = paths.map(([kit, path]) => ({ kit: kit.name, path, width, height, times: {} }));
    const part = width * height < LARGE ? 1 : 1 / 5;
    const count = Math.ceil(part * rounds);
    for (let round = -Math.ceil(part * WARM_ROUNDS); round < count; round++) {
      for (const [index, [, , run]] of paths.entries()) {
        const frame = await camera?.frame();
        const stages = await run(frame);
        frame?.close();
        if (round < 0) continue;
        for (const [stage, ms] of stages) (found[index].times[stage] ??= []).push(ms);
      }
    }
    rows.push(...found);
  }
  return rows;
}

// kept: the arrays of the round before, which are written to again.
async function exact({ code, segmenter, kept }, read) {
  const clock = new Clock();
  const image = read();
  clock.lap('read');
  kept.rgb = code.resize(image, kept.rgb);
  const tensor = code.toTensor(kept.rgb, kept.tensor);
  kept.tensor = tensor;
  clock.lap('tensor');
  const logits = await segmenter.infer(tensor);
  clock.lap('network');
  const mask = code.toMask(logits, image.width, image.height, kept.ids);
  kept.ids = mask.ids;
  clock.lap('mask');
  kept.layer = code.toColours(mask, 0.5, kept.layer);
  clock.lap('colours');
  return clock.laps;
}

async function live(segmenter, view, frame) {
  const clock = new Clock();
  const tensor = view.read(frame);
  clock.lap('tensor');
  const logits = await segmenter.infer(tensor);
  clock.lap('network');
  view.show(logits);
  clock.lap('colours');
  return clock.laps;
}

class Clock {
  constructor() {
    this.laps = [];
    this.since = performance.now();
  }

  lap(stage) {
    const now = performance.now();
    this.laps.push([stage, now - this.since]);
    this.since = performance.now();
  }
}

// Every frame is a new one, so that the browser cannot keep what it made of the one before.
class Camera {
  constructor(image) {
    const canvas = () => new OffscreenCanvas(image.width, image.height);
    this.scene = canvas().getContext('2d');
    this.scene.putImageData(image, 0, 0);
    this.still = canvas().getContext('2d', { willReadFrequently: true });
  }

  frame() {
    this.scene.fillStyle = `rgb(${Math.floor(256 * Math.random())}, 0, 0)`;
    this.scene.fillRect(0, 0, 2, 2);
    return createImageBitmap(this.scene.canvas);
  }

  // All pixels of a frame, which an app must read for the exact path.
  pixels(frame) {
    this.still.drawImage(frame, 0, 0);
    return this.still.getImageData(0, 0, frame.width, frame.height);
  }
}

// Waves of colour with some noise.
function picture(width, height) {
  const image = new ImageData(width, height);
  for (let i = 0; i < image.data.length; i++) {
    const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
    const wave = Math.sin((9 * x) / width + (i & 3)) * Math.cos((7 * y) / height);
    image.data[i] = (i & 3) === 3 ? 255 : 120 + 100 * wave + ((i * 7919) % 31);
  }
  return image;
}
