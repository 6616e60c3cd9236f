// All that is heavy: the model, what is made of its output, and drawing. In a worker, or on the
// page's own thread in a browser that cannot do this in one.

import { CLASSES, Live, Smooth, resize, toColours, toImageData, toMask, toTensor }
  from '../web/segnet.js';
import { Moving } from '../web/remote.js';
import { Screen } from './draw.js';
import { Runtime } from './runtime.js';

const MOST_SIDE = 1280; // pixels of what is shown

export class Service {
  /** hear: takes { line, about }, a line about the state and `about` the runtime, once it is there. */
  constructor(hear) {
    Object.assign(this, { hear, runtime: null });
    this.still = null; // a picture, to be drawn again in another look
  }

  /** canvas: the one that shows the result. */
  async start(canvas) {
    this.screen = new Screen(canvas);
    this.runtime = await Runtime.start((line) => this.hear({ line, about: this.about() }));
    this.live = new Live(this.runtime, { opacity: 1 });
    return this.about();
  }

  about() {
    if (!this.runtime) return null;
    const { accelerator, runMs, notes } = this.runtime;
    return { accelerator, runMs, notes };
  }

  /** An ImageBitmap, upright, of a file of an image. */
  async decode(blob) {
    const image = await createImageBitmap(blob, { imageOrientation: 'from-image' });
    return new Moving(image, [image]);
  }

  /** Forgets the picture. hold: of the frames that come; see Smooth. */
  reset(hold) {
    this.still = null;
    this.smooth(hold);
  }

  smooth(hold) {
    this.live.smooth = hold > 0 ? new Smooth(hold) : null;
  }

  /**
   * Shows a frame of a video, an ImageBitmap, which is closed. style: see Screen. Returns
   * the milliseconds of each stage, the pixels of each class, the size on the screen and the look.
   */
  async frame(image, style) {
    try {
      const times = [performance.now()];
      const tensor = this.live.read(image);
      times.push(performance.now());
      const logits = await this.runtime.infer(tensor);
      times.push(performance.now());
      const ids = this.live.show(logits);
      const size = shownSize(image);
      this.screen.draw(image, size, this.layers(this.live.canvas), style);
      return report(times, ids, size, style);
    } finally {
      image.close();
    }
  }

  /** Shows a picture, an ImageBitmap, with the exact mask; for the rest see `frame`. */
  async picture(image, style) {
    const times = [performance.now()];
    const tensor = toTensor(resize(toImageData(image)));
    times.push(performance.now());
    const logits = await this.runtime.infer(tensor, true);
    times.push(performance.now());
    this.live.show(logits); // for the matte
    const size = shownSize(image);
    const mask = toMask(logits, ...size);
    const [frame, colours] = [shrunk(image, size), new OffscreenCanvas(...size)];
    colours.getContext('2d').putImageData(toColours(mask, 1), 0, 0);
    image.close();
    this.still = { frame, size, layers: this.layers(colours) };
    this.paint(style);
    return report(times, mask.ids, size, style);
  }

  /** Draws the picture, if it is one, in another look or opacity. */
  paint(style) {
    const { frame, size, layers } = this.still ?? {};
    if (frame) this.screen.draw(frame, size, layers, style);
  }

  layers(colours) {
    return { colours, matte: () => this.live.matte(0) };
  }
}

/** [width, height] of an image on the screen, in the same proportion. */
function shownSize({ width, height }) {
  const ratio = Math.min(1, MOST_SIDE / Math.max(width, height));
  return [width, height].map((side) => Math.max(1, Math.round(ratio * side)));
}

/** A canvas of that size with the image, so that it is not resized for each look again. */
function shrunk(image, size) {
  const context = new OffscreenCanvas(...size).getContext('2d');
  context.imageSmoothingQuality = 'medium';
  context.drawImage(image, 0, 0, ...size);
  return context.canvas;
}

/** times: when the three stages began; the last one ends now. */
function report(times, ids, size, { look }) {
  const [read, network, show] = times.map((time, i) => (times[i + 1] ?? performance.now()) - time);
  const counts = new Uint32Array(CLASSES);
  for (const id of ids) counts[id] += 1;
  return { times: { read, network, show }, counts, size, look };
}
