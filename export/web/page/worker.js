// The script of the page's worker. It is no module, because LiteRT.js loads its WebAssembly with
// importScripts, which workers of modules refuse.

const modules = Promise.all([import('../web/remote.js'), import('./service.js')]);
const service = modules.then(([, { Service }]) => new Service((said) => postMessage(said)));

onmessage = ({ data }) => Promise.all([modules, service]).then(
  ([[{ answer }], functions]) => answer(functions, data),
  (error) => setTimeout(() => { throw error; }), // so that the page hears of it
);
