// Draws a frame with what the model found in it.

const BLUR = 24; // pixels, the shorter side of the smallest step of the blur

export class Screen {
  /** canvas: the one of the page, or an OffscreenCanvas of it. */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.steps = [];
  }

  /**
   * frame: an image of any size. shown: its width and height on the screen. colours: a canvas with
   * those of the classes, opaque. matte: returns one whose alpha channel is the background.
   * look: overlay, or cutout or blur of the background. opacity: of the overlay, 0 to 1.
   */
  draw(frame, [width, height], { colours, matte }, { look, opacity }) {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
    }
    const { context } = this;
    const put = (image, rule, alpha = 1) => {
      context.globalCompositeOperation = rule;
      context.globalAlpha = alpha;
      context.drawImage(image, 0, 0, width, height);
    };
    put(frame, 'copy');
    if (look === 'overlay') {
      put(colours, 'source-over', opacity);
      return;
    }
    put(matte(), 'destination-out');
    if (look === 'blur') put(this.blurred(frame, width, height), 'destination-over');
  }

  /** The frame halved until it is small and doubled again: a blur that every browser can do. */
  blurred(frame, width, height) {
    let source = frame;
    const sizes = [];
    while (Math.min(width, height) > 2 * BLUR) {
      [width, height] = [width >> 1, height >> 1];
      sizes.push([width, height]);
    }
    const up = sizes.slice(0, -1).reverse();
    for (const [step, [w, h]] of [...sizes, ...up].entries()) {
      const context = (this.steps[step] ??= new OffscreenCanvas(w, h).getContext('2d'));
      if (context.canvas.width !== w || context.canvas.height !== h) {
        Object.assign(context.canvas, { width: w, height: h });
      }
      context.imageSmoothingQuality = 'medium';
      context.globalCompositeOperation = 'copy';
      context.drawImage(source, 0, 0, w, h);
      source = context.canvas;
    }
    return source;
  }
}
