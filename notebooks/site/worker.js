// How does the engine run in a browser? In a worker that has no network, on Pyodide.
//
// build.py joins Pyodide, Graphviz and this file. Everything else comes, as blobs, with the first
// message; each later message has a text to compute, and is answered with the result.

const PLACE = "https://pyodide.invalid/"; // Pyodide asks for files by address; no request is made

self.importScripts = undefined; // Pyodide does not start in a worker that has it

async function start({ files }) {
  const network = self.fetch;
  self.fetch = async (address) => {
    const name = String(address.url ?? address).slice(PLACE.length);
    const type = name.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
    return new Response(files[name], { headers: { "Content-Type": type } });
  };
  const [pyodide, viz] = await Promise.all([
    loadPyodide({
      indexURL: PLACE,
      createPyodideModule: _createPyodideModule,
      _loadSnapshot: await unzipped(files["snapshot.bin"]),
    }),
    Viz.instance(),
  ]);
  self.fetch = network;
  // The snapshot has all modules but not their files, which some code reads and tracebacks show.
  const texts = JSON.parse(await files["packages.json"].text());
  for (const [name, text] of Object.entries(texts)) {
    pyodide.FS.mkdirTree(`/home/pyodide/${name}`.replace(/\/[^/]*$/, ""));
    pyodide.FS.writeFile(`/home/pyodide/${name}`, text);
  }
  const { begin, run } = pyodide.pyimport("site_run");
  begin((text, format) => viz.renderString(text, { format }));
  return run;
}

/** The memory of a started Python is mostly zeros, so its file is compressed. */
function unzipped(blob) {
  const stream = blob.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

let run;

self.onmessage = async ({ data }) => {
  try {
    if (run) return self.postMessage({ result: JSON.parse(run(data.text, data.predict)) });
    run = await start(data);
    self.postMessage({ ready: true });
  } catch (error) { // such as a stack overflow: the worker can no longer be used
    self.postMessage({ broken: String(error.message ?? error) });
  }
};
