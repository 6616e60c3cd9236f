// The service in a worker, or on the page's own thread where the browser cannot draw in a worker.

import { Moving, Remote } from '../web/remote.js';

/**
 * Starts the service, which shows its results on `canvas`. hear: see Service. Returns { call,
 * about, place }: call(name, words, transfer) as that of Remote, and where the service runs.
 */
export async function connect(canvas, hear) {
  const { remote, why } = await inWorker(canvas, hear);
  if (remote) {
    const screen = canvas.transferControlToOffscreen();
    const about = await remote.call('start', [screen], [screen]);
    return { call: remote.call.bind(remote), about, place: 'in a worker' };
  }
  const { Service } = await import('./service.js');
  const service = new Service(hear);
  const call = async (name, words) => {
    const found = await service[name](...words);
    return found instanceof Moving ? found.value : found;
  };
  const about = await call('start', [canvas]);
  return { call, about, place: `on the page's own thread, because ${why}` };
}

/** A Remote of a worker that has loaded its modules, or why there is none. */
async function inWorker(canvas, hear) {
  if (!canvas.transferControlToOffscreen) return { why: 'this browser draws only there' };
  const remote = new Remote(new Worker(new URL('./worker.js', import.meta.url)), hear);
  try {
    await remote.call('about');
    return { remote };
  } catch (error) {
    return { why: `a worker does not start: ${error.message}` };
  }
}
