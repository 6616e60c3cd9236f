// Opens the page of python -m export web in Chromium, does the steps of a scenario and prints JSON.
//
// node page_client.mjs MODULES SCENARIO, where MODULES is the node_modules folder with playwright-core
// and axe-core, and SCENARIO is JSON: address, flags, permissions, steps, width, height,
// dark, and isOld for a browser whose workers cannot draw.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const [modules, given] = process.argv.slice(2);
const scenario = { flags: [], permissions: [], steps: [], isOld: false, width: 390, height: 844, ...JSON.parse(given) };
const require = createRequire(`${modules}/`);
const { chromium } = require('playwright-core');
const found = { errors: [], elsewhere: [], console: [], said: [] };

const browser = await chromium.launch({
  executablePath: scenario.chromium,
  args: ['--disable-quic', '--disable-background-networking', ...scenario.flags],
});
const context = await browser.newContext({
  viewport: { width: scenario.width, height: scenario.height },
  colorScheme: scenario.dark ? 'dark' : 'light',
  permissions: scenario.permissions,
  hasTouch: true,
  bypassCSP: scenario.steps.some((step) => step[0] === 'axe'), // axe is put in as a script
  ignoreHTTPSErrors: true,
});
const page = await context.newPage();
page.setDefaultTimeout(40000);
page.on('request', (request) => {
  const url = request.url();
  if (!url.startsWith(scenario.address) && !url.startsWith('blob:')) found.elsewhere.push(url);
});
const isLog = /^(INFO|WARNING): /; // what LiteRT writes to the console's errors
page.on('console', (message) => {
  if (isLog.test(message.text())) return;
  (message.type() === 'error' ? found.errors : found.console).push(message.text());
});
page.on('pageerror', (error) => found.errors.push(String(error.stack)));
await page.addInitScript((isOld) => {
  addEventListener('DOMContentLoaded', () => {
    const status = document.getElementById('status');
    globalThis.said = [];
    new MutationObserver(() => said.push([performance.timeOrigin + performance.now(), status.textContent]))
      .observe(status, { childList: true });
  });
  globalThis.longTasks = []; // milliseconds of each that lasts more than 50
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((each) => each.duration)))
    .observe({ type: 'longtask' });
  if (isOld) delete HTMLCanvasElement.prototype.transferControlToOffscreen;
}, scenario.isOld);

const text = (selector) => page.locator(selector).innerText();
const status = (pattern) => page.waitForFunction(
  (source) => new RegExp(source).test(document.getElementById('status').textContent), pattern,
);

const actions = {
  status,
  click: (selector) => page.locator(selector).click(),
  press: (key) => page.keyboard.press(key),
  wait: (ms) => page.waitForTimeout(ms),
  upload: (path) => page.locator('#file').setInputFiles(path),
  set: async (selector, value) => page.locator(selector).fill(value),
  run: async (code) => { found.run = await page.evaluate(code); },
  inWorker: async (code) => { found.inWorker = await page.workers()[0].evaluate(code); },
  // Of the page's own thread, in milliseconds, since this was asked last.
  longest: async (name) => {
    found[name] = await page.evaluate(() => Math.max(0, ...longTasks.splice(0)));
  },
  // give: drop or paste. The file is made in the page, as no other program can drag one into it.
  give: async (kind, path, type) => page.evaluate(async ([event, name, mime, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const files = new DataTransfer();
    if (name) files.items.add(new File([bytes], name, { type: mime }));
    else files.setData('text/plain', 'no file');
    const target = document.querySelector('#view');
    const given = { bubbles: true, cancelable: true };
    if (event === 'paste') target.dispatchEvent(new ClipboardEvent('paste', { ...given, clipboardData: files }));
    else for (const each of ['dragenter', 'dragover', 'drop']) {
      target.dispatchEvent(new DragEvent(each, { ...given, dataTransfer: files }));
    }
  }, [kind, path && path.split('/').at(-1), type, path ? readFileSync(path).toString('base64') : '']),
  read: async (name, selector) => { found[name] = await text(selector); },
  focus: async (name) => { found[name] = await page.evaluate(() => document.activeElement.id); },
  pixels: async (path) => {
    const url = await page.evaluate(() => document.getElementById('screen').toDataURL('image/png'));
    const { writeFileSync } = await import('node:fs');
    writeFileSync(path, Buffer.from(url.split(',')[1], 'base64'));
  },
  size: (width, height) => page.setViewportSize({ width, height }),
  scheme: (colorScheme) => page.emulateMedia({ colorScheme }),
  shot: (path) => page.screenshot({ path }),
  targets: async (name) => {
    found[name] = await page.evaluate(() => [...document.querySelectorAll('button, label:has(input), input[type=range]')]
      .filter((each) => each.checkVisibility())
      .map((each) => [each.id || each.className || each.textContent, each.getBoundingClientRect()])
      .map(([label, { x, y, width, height, right, bottom }]) => ({
        label, width, height,
        inside: x >= 0 && y >= 0 && right <= innerWidth + 0.5 && bottom <= innerHeight + 0.5,
      })));
  },
  axe: async (name) => {
    await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const results = await page.evaluate(() => axe.run());
    found[name] = results.violations.map(({ id, impact, nodes }) => [id, impact, nodes.map((n) => n.html.slice(0, 120))]);
  },
};

try {
  await page.goto(scenario.address);
  for (const [action, ...words] of scenario.steps) await actions[action](...words);
} catch (error) {
  found.failed = String(error.stack);
}
found.said = await page.evaluate(() => globalThis.said ?? []);
found.runtime = await text('#runtime');
found.state = await page.evaluate(() => ({ ...document.documentElement.dataset }));
console.log(JSON.stringify(found));
await browser.close();
