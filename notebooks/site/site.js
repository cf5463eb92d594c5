// How does a text become a player? The page takes it from the box, its address or an example, and
// passes it to a frame that has no origin and no network; see frame.js.
//
// The frame cannot fetch files, so the page fetches them and passes them on.

const SECONDS = 10; // the time limit of a run
const LATE = 5000; // milliseconds after all other files, when the frame should have loaded
const HIGHEST = 4000; // the most pixels in height that a player may ask for
// What Python needs to start.
const FILES = ["pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json", "snapshot.bin",
  "packages.json"];

const [form, examples, code, runButton, predict, copy, status, linked, printed, error, frame] = [
  "form", "examples", "code", "run", "predict", "copy", "status", "linked", "printed", "error",
  "frame"].map((id) => document.getElementById(id));

// What the user reads.

const TEXT = {
  run: "Run",
  stop: "Stop",
  loading: "Loading Python…",
  running: "Running…",
  done: (seconds) => `Done in ${seconds.toFixed(1)} s`,
  failed: "No result: see the message below",
  empty: "Enter a formula or Python code first",
  nothing: "No Value to show: end the code with one",
  copied: "Link copied: it opens this page with this code",
  offline: (what) => `The page could not load ${what}. Reload it to try again.`,
};

function say(text) {
  status.textContent = text;
}

function put(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

// Running.

let order = null; // the text that runs, or waits for Python
let began = 0;
let isHandedOver = false; // does the frame have what it needs to start?
let isReady = false;
let missing = ""; // what could not be loaded
let isTyped = false; // has the user run anything?

const post = (message) => frame.contentWindow.postMessage(message, "*"); // it has no origin to name

function run() {
  if (!code.value.trim()) return say(TEXT.empty);
  if (missing) return fail(missing);
  began = performance.now();
  order = { id: began, text: code.value, predict: predict.checked, seconds: SECONDS };
  runButton.textContent = TEXT.stop;
  linked.hidden = true;
  say(isReady ? TEXT.running : TEXT.loading);
  put(printed, "");
  put(error, "");
  if (isHandedOver) post(order);
}

function hear({ loaded, ready, height, done, ...result }) {
  if (loaded) needed.then(handOver, () => {}); // `fail` has said what is missing
  if (height) frame.style.setProperty("--needed", `${Math.min(Number(height), HIGHEST)}px`);
  if (height === 0) frame.style.removeProperty("--needed");
  if (ready) {
    isReady = true;
    say(order ? TEXT.running : "");
  }
  if (done === undefined || done !== order?.id) return; // it may belong to an earlier text
  order = null;
  runButton.textContent = TEXT.run;
  put(printed, result.printed);
  put(error, result.error);
  frame.classList.toggle("shown", result.player);
  if (result.player && isTyped) frame.scrollIntoView({ block: "nearest" });
  const seconds = (performance.now() - began) / 1000;
  say(result.error ? TEXT.failed : result.player ? TEXT.done(seconds) : TEXT.nothing);
}

async function get(name, as = "blob") { // a blob is passed on without a copy
  const response = await fetch(name).catch(() => null);
  if (!response?.ok) throw new Error(name);
  return response[as]();
}

/** All that the frame needs, fetched at once. */
async function fetched() {
  const [engine, ...bytes] = await Promise.all(["engine.js", ...FILES].map((name) => get(name)));
  return { engine, files: Object.fromEntries(FILES.map((name, i) => [name, bytes[i]])) };
}

function handOver(given) {
  post(given);
  isHandedOver = true;
  missing = ""; // the frame was only late
  if (order) post(order);
}

/** Say what could not be loaded, instead of waiting for it. */
function fail(what) {
  missing = what;
  order = null;
  runButton.textContent = TEXT.run;
  say(TEXT.offline(what));
}

// The address: the part after # holds the code, and whether it is an exercise.

function keep() {
  const fields = { code: code.value, ...(predict.checked && { predict: "1" }) };
  history.replaceState(null, "", `#${new URLSearchParams(fields)}`);
}

/** Put the code of the address, if any, into the box, where it waits for Run. Was there any? */
function take() {
  const fields = new URLSearchParams(location.hash.slice(1));
  if (!fields.has("code")) return false;
  fill(fields.get("code"), fields.get("predict") === "1");
  linked.hidden = false;
  return true;
}

function fill(text, isExercise) {
  code.value = text;
  predict.checked = isExercise;
  fit();
}

function fit() {
  code.rows = Math.min(12, Math.max(2, code.value.split("\n").length));
}

// The page.

const runAsTyped = () => {
  isTyped = true;
  keep();
  run();
};
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (order) post({ stop: true });
  else runAsTyped();
});
code.addEventListener("input", fit);
code.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  runAsTyped();
});
copy.addEventListener("click", async () => {
  keep();
  await navigator.clipboard.writeText(location.href);
  say(TEXT.copied);
});
examples.addEventListener("change", () => {
  const chosen = list[examples.value];
  if (!chosen) return;
  fill(chosen.text, chosen.predict);
  runAsTyped();
});
window.addEventListener("hashchange", () => location.reload()); // another link: start over
window.addEventListener("message", ({ source, data }) => {
  if (source === frame.contentWindow) hear(data);
});

const needed = fetched();
needed.catch((problem) => fail(problem.message));
const { api, examples: list } = await get("build.json", "json").catch((problem) => {
  fail(problem.message);
  throw problem;
});
document.querySelector("nav").hidden = !api;
list.forEach(({ title }, i) => examples.append(new Option(title, i)));
if (!take()) {
  fill(list[0].text, false);
  run(); // the page's own code
}
frame.src = "frame.html";
// Not every browser says that a frame could not be loaded.
needed.then(() => setTimeout(() => isHandedOver || fail("frame.html"), LATE), () => {});
