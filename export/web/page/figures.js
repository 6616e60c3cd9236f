// What was found in the picture, and how long it took, in words beside it.

import { COLOURS, LABELS } from '../web/contract.js';

const STAGES = ['read', 'network', 'show'];
const SHOWN_MS = 500; // between two updates
const LEAST_SHARE = 0.002; // of the pixels, of a class that is named

const $ = (id) => document.getElementById(id);

export class Figures {
  constructor() {
    this.reset();
  }

  reset() {
    this.frames = 0;
    this.since = performance.now();
    this.sums = { read: 0, network: 0, show: 0 }; // milliseconds
  }

  /** times: the milliseconds of each stage of a frame. */
  count(times) {
    this.frames += 1;
    for (const stage of STAGES) this.sums[stage] += times[stage];
  }

  /** Shows the figures of the frames since the last time, if that is long enough ago. */
  update(counts) {
    const seconds = (performance.now() - this.since) / 1000;
    if (1000 * seconds < SHOWN_MS) return;
    this.show(counts, (this.frames / seconds).toFixed(1));
    this.reset();
  }

  /** counts: pixels of each class in the latest frame. rate: frames a second; a picture has none. */
  show(counts, rate = '–') {
    $('rate').textContent = rate;
    for (const stage of STAGES) {
      $(stage).textContent = `${(this.sums[stage] / this.frames).toFixed(1)} ms`;
    }
    $('figures').hidden = false;
    $('screen').setAttribute('aria-label', words(counts));
    $('legend').replaceChildren(...shares(counts).map(([id]) => item(id)));
  }
}

/** What was found, as a sentence. */
export function words(counts) {
  const parts = shares(counts).map(([id, share]) => `${LABELS[id]} ${Math.round(100 * share)} %`);
  return `Found: ${parts.length ? parts.join(', ') : `only ${LABELS[0]}`}`;
}

/** [id, share of the pixels] of the classes but the first that cover enough, the largest first. */
function shares(counts) {
  const pixels = counts.reduce((sum, count) => sum + count);
  const all = [...counts].map((count, id) => [id, count / pixels]);
  return all.slice(1).filter(([, share]) => share >= LEAST_SHARE).sort((a, b) => b[1] - a[1]);
}

function item(id) {
  const swatch = document.createElement('i');
  swatch.style.background = `rgb(${COLOURS[id].join(' ')})`;
  const found = document.createElement('li');
  found.append(swatch, LABELS[id]);
  return found;
}
