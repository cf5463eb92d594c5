// What separates the page from code that nobody has reviewed? This frame: it has no origin, network
// or storage. It starts the worker, ends it when its time is up, and shows the player.
//
// build.py puts the player's scripts before this file, and both into frame.html, whose policy
// allows only this script. What the worker sends is text to show or data to play; none of it runs.

const answer = (message) => parent.postMessage(message, "*"); // this frame has no origin to name

let given; // what a worker starts with; kept for the next one
let worker = null;
let isReady = false;
let order = null; // the text that runs, or waits for the worker
let timer = 0;

function start() {
  isReady = false;
  worker?.terminate();
  const address = URL.createObjectURL(new Blob([given.engine], { type: "text/javascript" }));
  worker = new Worker(address);
  worker.onmessage = ({ data }) => hear(data);
  worker.onerror = (event) => hear({ broken: event.message ?? "it could not be started" });
  worker.postMessage({ files: given.files });
}

function run(next) {
  const isBusy = timer !== 0;
  over();
  order = next;
  if (isBusy || !worker) start();
  else if (isReady) begin();
}

function begin() {
  timer = setTimeout(() => stop(`Stopped after ${order.seconds} seconds.`), 1000 * order.seconds);
  worker.postMessage({ text: order.text, predict: order.predict });
}

function stop(why) {
  const isBusy = timer !== 0;
  finish({ error: why });
  if (isBusy) start();
}

function hear({ ready, result, broken }) {
  if (ready) {
    isReady = true;
    answer({ ready });
    if (order) begin();
  } else if (result && timer) {
    finish(result);
  } else if (broken) {
    finish({ error: `Python has stopped: ${broken}` });
    if (isReady) start();
    else worker = null; // the next run tries again
  }
}

function finish({ printed = "", error = "", page = "" }) {
  const id = order?.id;
  over();
  shown.replaceChildren();
  try {
    if (page) show(String(page));
  } catch (problem) { // code may send anything, even what is not the page of a player
    error = `The player could not be shown: ${problem.message}`;
    shown.replaceChildren();
  }
  const player = shown.childElementCount > 0;
  answer({ done: id, printed: String(printed), error: String(error), player });
}

function over() {
  clearTimeout(timer);
  timer = 0;
  order = null;
}

// The player.

const WIDE = 800; // pixels from which the player has its parts side by side
const shown = document.getElementById("shown");
const height = () => Math.ceil(shown.getBoundingClientRect().height);
const heights = new ResizeObserver(() => answer({ height: height() }));

/**
 * Show the player of a page that Python made; only the recording in that page is used. The player
 * fills a wide frame, while a narrow frame becomes as high as the player.
 */
function show(page) {
  const [, recording] = page.match(/<script type="application\/json">(.*?)<\/script>/s);
  const host = document.createElement("div");
  const fills = window.innerWidth >= WIDE;
  host.toggleAttribute("data-alone", fills);
  shown.append(host);
  new Player(host, JSON.parse(recording));
  heights.disconnect();
  if (fills) answer({ height: 0 });
  else heights.observe(host);
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== parent) return;
  if (data.files) {
    given = data;
    start();
  } else if (data.stop) {
    if (order) stop("Stopped."); // else its result is on its way to the page
  } else {
    run(data);
  }
});
answer({ loaded: true });
