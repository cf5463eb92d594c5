// How does Python start in a moment? A snapshot of its memory, with everything imported, is taken
// when the page is built; the worker loads it instead of starting Python.
//
//     node snapshot.mjs <folder of Pyodide> <packages.json> <file to write>
//
// Pyodide checks that a snapshot is of its own version. The seeds of `random` and of hashes are
// those of the snapshot: run.py reseeds the first, and the second need not be secret.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const [folder, packages, out] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const pyodide = await loadPyodide({ indexURL: folder, _makeSnapshot: true });
const home = "/home/pyodide";
for (const [name, text] of Object.entries(JSON.parse(readFileSync(packages, "utf8")))) {
  pyodide.FS.mkdirTree(`${home}/${name}`.replace(/\/[^/]*$/, ""));
  pyodide.FS.writeFile(`${home}/${name}`, text);
}
pyodide.runPython("import site_run; site_run.warm_up()");
writeFileSync(out, gzipSync(pyodide.makeMemorySnapshot()));
