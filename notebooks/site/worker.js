// How does the engine run in a browser? In a worker that has no network, on Pyodide.
//
// build.py puts Pyodide, Graphviz and this file together. The bytes of everything else come with
// the first message; each later one has a text to compute, and is answered with its result.

const PLACE = "https://pyodide.invalid/"; // Pyodide asks for its files by address: no request is made

self.importScripts = undefined; // Pyodide would not start in a worker that has it

async function start({ files, source }) {
  const network = self.fetch;
  self.fetch = async (address) => {
    const name = String(address.url ?? address).slice(PLACE.length);
    const type = name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
    return new Response(files[name], { headers: { "Content-Type": type } });
  };
  const [pyodide, viz] = await Promise.all([
    loadPyodide({ indexURL: PLACE, createPyodideModule: _createPyodideModule }),
    Viz.instance(),
  ]);
  self.fetch = network;
  for (const [name, bytes] of Object.entries(files)) {
    if (name.endsWith(".whl")) pyodide.unpackArchive(bytes, "wheel");
  }
  pyodide.FS.writeFile("/home/pyodide/site_run.py", source);
  const { lay_out_with, run } = pyodide.pyimport("site_run");
  lay_out_with((text, format) => viz.renderString(text, { format }));
  return run;
}

let run;

self.onmessage = async ({ data }) => {
  try {
    if (run) return self.postMessage({ result: JSON.parse(run(data.text, data.predict)) });
    run = await start(data);
    self.postMessage({ ready: true });
  } catch (error) { // such as a stack that is full: the worker is of no more use
    self.postMessage({ broken: String(error.message ?? error) });
  }
};
