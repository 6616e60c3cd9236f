// All that is heavy: the model, what is made of its output, and drawing. In a worker, or on the
// page's own thread in a browser that cannot do this in one.

import { CLASSES, Live, Smooth, resize, toColours, toImageData, toMask, toTensor }
  from '../web/segnet.js';
import { Moving } from '../web/remote.js';
import { Screen } from './draw.js';
import { Runtime } from './runtime.js';

const MOST_SIDE = 1280; // pixels of what is shown

export class Service {
  /** hear: takes { line, about }: a line about the state; `about` the runtime, once there is one. */
  constructor(hear) {
    Object.assign(this, { hear, runtime: null });
    this.shown = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
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
   * Shows a frame of a video, see `grab`, and closes it. style: see Screen. Returns the
   * milliseconds of each stage, the pixels of each class, the size on the screen and the look.
   */
  async frame(image, style) {
    const times = [performance.now()];
    const size = this.take(image);
    const tensor = this.live.read(this.shown.canvas);
    times.push(performance.now());
    const logits = await this.runtime.infer(tensor);
    times.push(performance.now());
    const ids = this.live.show(logits);
    this.screen.draw(this.shown.canvas, size, this.layers(this.live.canvas), style);
    return this.report(times, ids, size, style);
  }

  /** Shows a picture, an ImageBitmap, with the exact mask; for the rest see `frame`. */
  async picture(image, style) {
    const times = [performance.now()];
    const tensor = toTensor(resize(toImageData(image)));
    times.push(performance.now());
    const logits = await this.runtime.infer(tensor, true);
    times.push(performance.now());
    this.live.show(logits); // for the matte
    const size = this.take(image);
    const mask = toMask(logits, ...size);
    const colours = new OffscreenCanvas(...size).getContext('2d');
    colours.putImageData(toColours(mask, 1), 0, 0);
    this.still = { size, layers: this.layers(colours.canvas) };
    this.paint(style);
    return this.report(times, mask.ids, size, style);
  }

  /** Draws the picture, if it is one, in another look or opacity. */
  paint(style) {
    if (this.still) this.screen.draw(this.shown.canvas, this.still.size, this.still.layers, style);
  }

  /** Draws the image into `shown` and closes it. Returns width and height there. */
  take(image) {
    const { canvas } = this.shown;
    const size = shownSize(image);
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    Object.assign(this.shown, { globalCompositeOperation: 'copy', imageSmoothingQuality: 'medium' });
    this.shown.drawImage(image, 0, 0, ...size);
    image.close();
    return size;
  }

  /** times: when reading began, the network, and showing, which ends now. */
  report(times, ids, size, { look }) {
    const [read, , show] = times.map((time, i) => (times[i + 1] ?? performance.now()) - time);
    const counts = new Uint32Array(CLASSES);
    for (const id of ids) counts[id] += 1;
    return { times: { read, network: this.runtime.tookMs, show }, counts, size, look };
  }

  layers(colours) {
    return { colours, matte: () => this.live.matte(0) };
  }
}

/** [width, height] of an ImageBitmap or a VideoFrame on the screen, in the same proportion. */
function shownSize({ width, height, displayWidth = width, displayHeight = height }) {
  const sides = [displayWidth, displayHeight];
  const ratio = Math.min(1, MOST_SIDE / Math.max(...sides));
  return sides.map((side) => Math.max(1, Math.round(ratio * side)));
}
