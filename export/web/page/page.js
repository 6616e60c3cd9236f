// The page: its controls, and the loop from a source to the screen.

import { Live, Smooth, resize, toTensor } from '../web/segnet.js';
import { Camera } from './camera.js';
import { Screen } from './draw.js';
import { Figures, words } from './figures.js';
import { Runtime } from './runtime.js';

const MOST_SIDE = 1280; // pixels of what is shown
const NO_FRAME_MS = 250; // after which the loop looks again: a source may be gone

const $ = (id) => document.getElementById(id);
const state = document.documentElement.dataset;
const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
const camera = new Camera(video, () => stop('The camera was taken away'));
const screen = new Screen($('screen'));
const figures = new Figures();
const frame = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
let runtime;
let live;
let source = 0; // counts the sources; a loop ends when its own is no longer the latest
let ended = Promise.resolve(); // with the work on the source before
let still = null; // the logits of a picture, for another look at it

async function main() {
  try {
    runtime = await Runtime.start(say);
  } catch (error) {
    fail(error);
    return;
  }
  live = new Live(runtime, { opacity: 1 });
  say('Ready');
  for (const button of document.querySelectorAll('button')) button.disabled = false;
  state.state = 'ready';
}

function say(line) {
  $('status').textContent = line;
  if (runtime) describe();
}

function fail(error) {
  state.state = 'failed';
  $('status').classList.add('bad');
  $('status').textContent = `This does not work: ${error.message}.`;
  console.warn(error);
}

/** Which runtime computes, and why not the other one. */
function describe() {
  const name = runtime.accelerator === 'wasm' ? 'wasm (CPU)' : 'WebGPU (GPU)';
  const time = `${runtime.runMs.toFixed(1)} ms when it was tested`;
  $('runtime').textContent = [`On ${name}, ${time}.`, ...runtime.notes].join(' ');
  state.accelerator = runtime.accelerator;
}

/** Ends the source before; returns whether no other one has been chosen meanwhile. */
async function change() {
  source += 1;
  const mine = source;
  camera.stop();
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute('src');
  video.load();
  await ended;
  still = null;
  $('camera').textContent = 'Start camera';
  $('flip').hidden = true;
  $('screen').classList.remove('mirrored');
  return mine === source;
}

async function startCamera(wanted) {
  if (!(await change())) return;
  const mine = source;
  try {
    await camera.start(wanted);
  } catch (error) {
    if (mine === source) say(`${error.message}. You can open a picture or a video instead.`);
    return;
  }
  if (mine !== source) return;
  $('camera').textContent = 'Stop camera';
  $('screen').classList.toggle('mirrored', camera.isMirrored);
  say('The camera is on');
  run();
  const other = await camera.other();
  if (mine === source) $('flip').hidden = !other;
}

async function stop(line) {
  if (await change()) say(line);
}

async function open(file) {
  if (!file) return;
  try {
    await (file.type.startsWith('video/') ? openVideo(file) : openPicture(file));
  } catch {
    say(`${file.name} is no picture or video that this browser can read`);
  }
}

async function openVideo(file) {
  if (!(await change())) return;
  const mine = source;
  Object.assign(video, { src: URL.createObjectURL(file), loop: true });
  await video.play();
  if (mine !== source) return;
  say('The video is playing');
  run();
}

async function openPicture(blob) {
  const picture = await createImageBitmap(blob, { imageOrientation: 'from-image' });
  if (await change()) begin(showPicture(picture), 0);
}

/** work: on the latest source, until it ends. hold: see Smooth. */
function begin(work, hold) {
  smooth(hold);
  figures.reset();
  ended = work.catch((error) => {
    camera.stop();
    fail(error);
  });
}

async function showPicture(picture) {
  const times = [performance.now()];
  take(picture, picture.width, picture.height);
  const { width, height } = frame.canvas;
  const tensor = toTensor(resize(frame.getImageData(0, 0, width, height)));
  times.push(performance.now());
  still = await runtime.infer(tensor, true);
  times.push(performance.now());
  paint();
  figures.count([...times, performance.now()]);
  figures.show(live.ids);
  say(`The picture is shown. ${words(live.ids)}`);
}

/** Shows the frames of the camera or the video until another source is chosen. */
function run() {
  const mine = source;
  const loop = async () => {
    while (mine === source) {
      await nextFrame();
      if (mine === source && video.videoWidth && !document.hidden) await step();
    }
  };
  begin(loop(), $('smoothing').value / 100);
}

async function step() {
  const times = [performance.now()];
  take(video, video.videoWidth, video.videoHeight);
  const tensor = live.read(frame.canvas);
  times.push(performance.now());
  const logits = await runtime.infer(tensor);
  times.push(performance.now());
  live.show(logits);
  draw();
  figures.count([...times, performance.now()]);
  figures.update(live.ids);
}

function nextFrame() {
  return new Promise((resolve) => {
    setTimeout(resolve, NO_FRAME_MS);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
  });
}

/** Draws an image into `frame`, at most MOST_SIDE wide and high. */
function take(image, width, height) {
  const ratio = Math.min(1, MOST_SIDE / Math.max(width, height));
  const [w, h] = [width, height].map((side) => Math.max(1, Math.round(ratio * side)));
  const { canvas } = frame;
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  frame.globalCompositeOperation = 'copy';
  frame.drawImage(image, 0, 0, w, h);
}

/** Draws the picture again, if it is one, in the look and opacity that are chosen now. */
function paint() {
  if (!still) return;
  live.show(still);
  draw();
}

function draw() {
  const look = document.querySelector('input[name=look]:checked').value;
  screen.draw(frame.canvas, live, look, $('opacity').value / 100);
  state.look = look;
  $('screen').hidden = false;
  $('hint').hidden = true;
}

function smooth(hold) {
  live.smooth = hold > 0 ? new Smooth(hold) : null;
}

function listen() {
  $('camera').onclick = () => (camera.stream ? stop('The camera is off') : startCamera());
  $('flip').onclick = async () => startCamera(await camera.other());
  $('choose').onclick = () => $('file').click();
  $('file').onchange = async () => {
    await open($('file').files[0]);
    $('file').value = '';
  };
  for (const button of document.querySelectorAll('.sample')) {
    button.onclick = async () => openPicture(await (await fetch(button.dataset.source)).blob());
  }
  for (const look of document.querySelectorAll('input[name=look]')) {
    look.onchange = () => {
      $('opacity').disabled = look.value !== 'overlay';
      paint();
    };
  }
  for (const id of ['opacity', 'smoothing']) {
    $(id).oninput = () => {
      $(`${id}-value`).textContent = `${$(id).value} %`;
      if (id === 'smoothing' && live && !still) smooth($(id).value / 100);
      paint();
    };
  }
  document.onvisibilitychange = () => {
    camera.enabled = !document.hidden;
    if (document.hidden) video.pause();
    else if (video.src || video.srcObject) video.play().catch(() => {}); // hidden again at once
    figures.reset();
  };
}

function listenForDrops() {
  document.ondragover = (event) => {
    event.preventDefault();
    document.body.classList.add('over');
  };
  document.ondragleave = () => document.body.classList.remove('over');
  document.ondrop = (event) => {
    event.preventDefault();
    document.body.classList.remove('over');
    if (live) open(event.dataTransfer.files[0]);
  };
}

listen();
listenForDrops();
main();
