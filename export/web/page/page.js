// The page: its controls, and the loop from a source to the screen.

import { grab } from '../web/remote.js';
import { Camera } from './camera.js';
import { connect } from './connect.js';
import { Figures, words } from './figures.js';

const NO_FRAME_MS = 250; // after which the loop looks again: a source may be gone

const $ = (id) => document.getElementById(id);
const state = document.documentElement.dataset;
const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
const camera = new Camera(video, () => stop('The camera was taken away'));
const figures = new Figures();
let service; // see Service, whose functions `service.call` calls
let source = 0; // counts the sources; a loop ends when its own is no longer the latest
let ended = Promise.resolve(); // with the work on the source before
let isStill = false; // whether the source is a picture
let painting = null; // the work on another look of a picture
let isStale = false; // whether yet another one was chosen during that

async function main() {
  say('Loading the model');
  try {
    service = await connect($('screen'), ({ line, about }) => say(line, about));
    describe(service.about);
  } catch (error) {
    fail(error);
    return;
  }
  say('Ready');
  for (const button of document.querySelectorAll('button')) button.disabled = false;
  state.state = 'ready';
}

function say(line, about) {
  $('status').textContent = line;
  if (about) describe(about);
}

function fail(error) {
  state.state = 'failed';
  $('status').classList.add('bad');
  $('status').textContent = `This does not work: ${error.message}.`;
  console.warn(error);
}

/** Which runtime computes, where, and why not another one. */
function describe({ accelerator, runMs, notes }) {
  const name = accelerator === 'wasm' ? 'wasm (CPU)' : 'WebGPU (GPU)';
  const time = `${runMs.toFixed(1)} ms when it was tested`;
  $('runtime').textContent = [`On ${name}, ${time}, ${service.place}.`, ...notes].join(' ');
  state.accelerator = accelerator;
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
  isStill = false;
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
  begin(showFrames());
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
  begin(showFrames());
}

async function openPicture(blob) {
  const picture = await service.call('decode', [blob]);
  if (await change()) begin(showPicture(picture));
}

/** work: on the latest source, until it ends. */
function begin(work) {
  figures.reset();
  ended = work.catch((error) => {
    camera.stop();
    fail(error);
  });
}

async function showPicture(picture) {
  await service.call('reset', [0]);
  const found = await service.call('picture', [picture, style()], [picture]);
  isStill = true;
  show(found);
  figures.count(found.times);
  figures.show(found.counts);
  say(`The picture is shown. ${words(found.counts)}`);
  paint(); // another look may have been chosen meanwhile
}

/** Shows the frames of the camera or the video until another source is chosen. */
async function showFrames() {
  const mine = source;
  await service.call('reset', [hold()]);
  let next = nextFrame();
  while (mine === source) {
    await next;
    next = nextFrame(); // those that come while this one is in work are dropped
    const isThere = video.videoWidth && video.readyState >= video.HAVE_CURRENT_DATA;
    if (mine === source && isThere && !document.hidden) await step();
  }
}

async function step() {
  const start = performance.now();
  const image = await grab(video);
  const taken = performance.now() - start;
  const found = await service.call('frame', [image, style()], [image]);
  show(found);
  found.times.read += taken;
  figures.count(found.times);
  figures.update(found.counts);
}

function nextFrame() {
  return new Promise((resolve) => {
    setTimeout(resolve, NO_FRAME_MS);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
  });
}

/** Draws a picture again in the look and opacity that are chosen now. */
function paint() {
  isStale = isStill;
  painting ??= repaint().catch(fail).finally(() => { painting = null; });
}

async function repaint() {
  while (isStale) {
    isStale = false;
    const chosen = style();
    await service.call('paint', [chosen]);
    state.look = chosen.look;
  }
}

/** What was drawn, and of which size. */
function show({ size: [width, height], look }) {
  $('screen').style.setProperty('--ratio', width / height);
  $('screen').hidden = false;
  $('hint').hidden = true;
  state.look = look;
}

function style() {
  const { value: look } = document.querySelector('input[name=look]:checked');
  return { look, opacity: $('opacity').value / 100 };
}

function hold() {
  return $('smoothing').value / 100;
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
      if (id === 'smoothing' && !isStill) service?.call('smooth', [hold()]).catch(fail);
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
    take(event.dataTransfer);
  };
  document.onpaste = (event) => take(event.clipboardData);
}

/** The first file of what was dropped or pasted. */
function take({ files }) {
  if (state.state === 'ready') open(files[0]);
}

listen();
listenForDrops();
main();
