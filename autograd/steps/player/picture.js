// How does a drawn graph come to life? Its nodes are lit, dragged and clicked; zoom and pan.
//
// Graphviz has laid it out, in SVG. Node i has the id n{i}, the edge from its operand k the id
// e{i}_{k}, and the last two lines of a node's text are its data and its gradient.

// --- the drawing ---------------------------------------------------------------------------------

const ALLOWED = {
  svg: ["viewBox"],
  g: ["id", "class", "transform"],
  path: ["d"],
  polygon: ["points"],
  polyline: ["points"],
  ellipse: ["cx", "cy", "rx", "ry"],
  text: ["x", "y", "text-anchor"],
};

/** A copy of Graphviz's SVG: its shapes and texts, and nothing that acts, links or loads. */
function copied(source) {
  const tag = source.localName === "a" ? "g" : source.localName; // <a> holds a node's tooltip
  const known = source.namespaceURI === SVG && Object.keys(ALLOWED).includes(tag);
  if (!known) return "";
  const made = element(`svg:${tag}`);
  for (const name of ALLOWED[tag]) {
    if (source.hasAttribute(name)) made.setAttribute(name, source.getAttribute(name));
  }
  if (tag === "text") made.textContent = source.textContent;
  else made.append(...[...source.children].map(copied));
  return made;
}

// Screen pixels for each unit of the drawing: the most for a whole drawing, what can be read, and
// what a step is shown in otherwise; where texts are left out, and where zooming stops.
const SCALE = { largest: 1.9, legible: 0.6, reading: 1.25, text: 0.35, closest: 6 };
// The height of the stage, and what stays free around the drawing.
const HEIGHT = { least: 240, most: 560 };
const MARGIN = 14;
const DIGIT = 6.2; // how wide one is in the drawing, in its units
const SIGN = 3.6; // a point or a minus
const GAP = 5; // between a word and its number

/** The graph as Graphviz drew it, its nodes and edges brought to life; zoom and pan. */
class Picture {
  constructor(graph, source, actions) {
    this.graph = graph;
    this.actions = actions;
    this.svg = copied(new DOMParser().parseFromString(source, "image/svg+xml").documentElement);
    this.drawing = this.svg.querySelector(".graph");
    const [x, y, width, height] = this.svg.getAttribute("viewBox").split(/[\s,]+/).map(Number);
    const transform = this.drawing.getAttribute("transform");
    const [dx, dy] = /translate\((.*?)\)/.exec(transform)[1].split(/[\s,]+/).map(Number);
    this.box = { x: x - dx, y: y - dy, width, height };
    this.svg.removeAttribute("viewBox"); // a pixel is a unit; the drawing is moved and scaled in it
    this.view = { x: 0, y: 0, scale: 1 };
    this.fitted = true;
    this.chosen = false; // whether the reader has zoomed, or asked to see it all
    this.size = { width: 0, height: 0 }; // of the stage on the screen; 0 while it is not shown
    setAttribute(this.svg, "role", "group");
    setAttribute(this.svg, "aria-label", TEXT.graph(graph.name(graph.output), graph.size));
    const parts = new Map();
    for (const part of this.svg.querySelectorAll("[id]")) {
      parts.set(part.id, part);
      part.removeAttribute("id"); // ids belong to the page, on which there may be many players
    }
    for (const background of this.svg.querySelectorAll(".graph > polygon")) background.remove();
    this.nodes = graph.nodes.map((node, i) => this.node(node, i, parts.get(`n${i}`)));
    this.edges = graph.nodes.map((node, i) =>
      node.parents.map((_, k) => ({ group: parts.get(`e${i}_${k}`) })));
    this.notes = element("svg:g", { class: "notes", "aria-hidden": "true" });
    const groups = this.nodes.map(({ group }) => group);
    this.drawing.append(...groups, this.notes); // in this order nodes take the keyboard's focus
    const tools = element("div", { class: "tools" },
      button("zoomIn", () => this.zoom(1.4)),
      button("zoomOut", () => this.zoom(1 / 1.4)),
      button("fit", () => {
        this.chosen = true;
        this.fit();
      }));
    this.stage = element("div", { class: "stage" }, this.svg, tools);
    this.listen();
  }

  node(node, i, group) {
    setAttribute(group, "role", "button");
    setAttribute(group, "tabindex", "0");
    const texts = [...group.querySelectorAll("text")];
    const numbers = node.kind === "constant" ? [] : texts.slice(-2);
    const lines = numbers.map((text, k) => {
      const kind = k ? "gradient" : "data";
      const [middle, y] = ["x", "y"].map((name) => Number(text.getAttribute(name)));
      // The word stays where it is while its number changes: that is calmer, and half the work.
      const [x, end] = [middle - GAP / 2, middle - 1.5 * GAP];
      const key = element("svg:text", { class: "key", x: end, y, "text-anchor": "end" });
      key.textContent = k ? TEXT.grad : TEXT.data;
      const value = element("svg:text", { class: `number ${kind}`, x, y });
      text.replaceWith(key, value);
      return cell(value, rightOf(group) - x - 3);
    });
    for (const text of texts) text.classList.toggle("head", !numbers.includes(text));
    if (node.label && node.label !== node.name) group.append(element("svg:title", {}, node.label));
    group.addEventListener("focus", () => {
      if (!this.fitted && group.matches(":focus-visible")) this.follow(i);
    });
    group.addEventListener("click", () => this.dragged || this.actions.select(i));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // the key would go on to the button that gets the focus
      this.actions.select(i);
    });
    const [x, y] = ["x", "y"].map((name) => Number(texts[0].getAttribute(name)));
    return { group, lines, at: { x, y } };
  }

  /** Show a state; `lit` holds the edges of a chain rule that is being read, or is null. */
  update(now, lit) {
    const { step, position } = now;
    this.nodes.forEach((node, i) => this.updateNode(now, node, i));
    // While a leaf is dragged, the edges stay as they are.
    if (position !== this.position || lit !== this.lit) this.updateEdges(now, lit);
    this.annotate(now);
    if (step.node >= 0 && position !== this.position) this.follow(step.node);
    [this.position, this.lit] = [position, lit];
  }

  updateNode(now, node, i) {
    const { name, kind, movable } = this.graph.nodes[i];
    const { step } = now;
    const data = dataAt(now, i);
    const gradient = kind === "constant" ? "waiting" : gradientAt(now, i);
    const classes = ["node", kind, statusOf(now, i, data, gradient)];
    if (i === step.node) classes.push("current", step.phase);
    if (movable) classes.push("movable");
    if (i === this.pointedAt) classes.push("pointed");
    change(node, "class", classes.join(" "));
    const texts = [data === "waiting" ? "" : shown(data), shown(gradient)];
    node.lines.forEach((line, k) => write(line, texts[k]));
    const described = `${name}, ${TEXT.data} ${texts[0] || TEXT.toCome}`;
    const received = gradient === "waiting" ? "" : `, ${TEXT.grad} ${texts[1]}`;
    change(node, "aria-label", described + received);
  }

  updateEdges({ step, b, position }, lit) {
    const { graph } = this;
    this.edges.forEach((edges, i) => edges.forEach((drawn, k) => {
      const entry = graph.entries.get(i);
      const edge = entry.edges.find(({ operand }) => operand === k);
      const classes = ["edge"];
      const done = b < 0 ? graph.computedAt[i] < position : entry.b < b;
      if (i === step.node && (b < 0 || edge)) classes.push("current", step.phase);
      else classes.push(done ? "done" : "coming");
      if (lit) classes.push(lit.has(edge) ? "lit" : "unlit");
      change(drawn, "class", classes.join(" "));
    }));
  }

  /** The contributions of this backward step, beside the edges they flow along. */
  annotate(now) {
    const passed = now.b >= 0 ? now.pass.contributions[now.b] : [];
    const placed = passed.map(({ edge, product }) => {
      const drawn = this.edges[now.step.node][edge.operand];
      drawn.middle = drawn.middle || middleOf(drawn.group.querySelector("path"));
      return { ...drawn.middle, text: number(product) };
    });
    const lowest = Math.max(...placed.map(({ y }) => y));
    this.notes.replaceChildren(...placed.map(({ x, y, text }) => {
      const below = placed.length > 1 && y === lowest;
      return element("svg:text", { x, y: below ? y + 13 : y - 6, "text-anchor": "middle" }, text);
    }));
  }

  /** Light one node, or none. */
  point(i) {
    if (this.pointedAt !== undefined) this.nodes[this.pointedAt].group.classList.remove("pointed");
    if (i !== undefined) this.nodes[i].group.classList.add("pointed");
    this.pointedAt = i;
  }

  // Zoom and pan: a view is the point of the drawing in the middle of the stage, and the scale.

  look(view, smoothly = false) {
    cancelAnimationFrame(this.frame);
    const from = this.view;
    const start = performance.now();
    const still = !smoothly || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const draw = (time) => {
      const t = still ? 1 : Math.min(Math.max((time - start) / 350, 0), 1);
      const part = (key) => from[key] + (view[key] - from[key]) * t * (2 - t);
      this.view = t === 1 ? view : { x: part("x"), y: part("y"), scale: part("scale") };
      const { x, y, scale } = this.view;
      const shift = `${this.size.width / 2 - x * scale} ${this.size.height / 2 - y * scale}`;
      this.drawing.setAttribute("transform", `translate(${shift}) scale(${scale})`);
      this.leaveOut(this.view);
      if (t < 1) this.frame = requestAnimationFrame(draw);
    };
    draw(start);
    this.stage.classList.toggle("zoomed", !this.fitted);
    this.stage.classList.toggle("tiny", view.scale < SCALE.text);
  }

  /** Texts take most of the time of an update, seen or not: those far away are left out. */
  leaveOut({ x, y, scale }) {
    const { width, height } = this.size;
    for (const { group, at } of this.nodes) {
      const [right, down] = [Math.abs(at.x - x) * scale, Math.abs(at.y - y) * scale];
      const away = right > 0.5 * width + 150 || down > 0.5 * height + 60;
      group.toggleAttribute("data-away", away);
    }
  }

  /** The stage has this size now. */
  resized({ width, height }) {
    this.size = { width, height };
    if (this.fitted) this.fit();
    else this.look(this.view);
  }

  /** The whole drawing in the middle, as large as its texts should be at most. */
  fit() {
    const { box, size } = this;
    const [width, height] = [box.width + 2 * MARGIN, box.height + 2 * MARGIN];
    this.whole = Math.min(SCALE.largest, size.width / width, HEIGHT.most / height);
    size.height = Math.round(Math.max(height * this.whole, HEIGHT.least));
    this.stage.style.height = `${size.height}px`;
    this.fitted = true;
    this.look({ x: box.x + box.width / 2, y: box.y + box.height / 2, scale: this.whole });
  }

  /** Come closer (a factor above 1) or go back; (clientX, clientY), or the middle, stays put. */
  zoom(factor, clientX, clientY) {
    const { view } = this;
    const scale = Math.min(view.scale * factor, SCALE.closest);
    this.chosen = true;
    if (scale <= this.whole * 1.01) return void this.fit();
    this.fitted = false;
    const at = clientX === undefined ? view : this.place(clientX, clientY);
    const change = view.scale / scale;
    const [x, y] = [at.x - (at.x - view.x) * change, at.y - (at.y - view.y) * change];
    this.look({ x, y, scale }, clientX === undefined);
  }

  /** The point of the drawing that is at a point of the screen. */
  place(clientX, clientY) {
    const { left, top, width, height } = this.svg.getBoundingClientRect();
    const { x, y, scale } = this.view;
    const [right, down] = [clientX - left - width / 2, clientY - top - height / 2];
    return { x: x + right / scale, y: y + down / scale };
  }

  /** Bring a node into view, and its parents if they are near; come closer to what is too small. */
  follow(i) {
    const { size, view, graph } = this;
    if (!size.width || this.pointers.size) return;
    const small = this.fitted && !this.chosen && this.whole < SCALE.legible;
    const node = this.region([i]);
    const inside = Math.abs(node.x - view.x) <= (size.width / view.scale - node.width) / 2
      && Math.abs(node.y - view.y) <= (size.height / view.scale - node.height) / 2;
    if (this.fitted ? !small : inside) return;
    const reading = small ? SCALE.reading : view.scale;
    const family = this.region([i, ...graph.nodes[i].parents]);
    const together = Math.min(reading, size.width / (family.width + 2 * MARGIN),
      size.height / (family.height + 2 * MARGIN));
    const [{ x, y }, scale] = together >= 0.75 * reading ? [family, together] : [node, reading];
    this.fitted = false;
    this.look({ x, y, scale }, true);
  }

  /** The middle and the size of the part of the drawing that some nodes take. */
  region(nodes) {
    const boxes = nodes.map((j) => {
      const node = this.nodes[j];
      node.box = node.box || node.group.getBBox();
      return node.box;
    });
    const [left, top] = ["x", "y"].map((key) => Math.min(...boxes.map((box) => box[key])));
    const right = Math.max(...boxes.map((box) => box.x + box.width));
    const bottom = Math.max(...boxes.map((box) => box.y + box.height));
    const [width, height] = [right - left, bottom - top];
    return { x: left + width / 2, y: top + height / 2, width, height };
  }

  // Pointers: a leaf that can move is dragged sideways, anything else pans, two fingers pinch.

  listen() {
    this.pointers = new Map();
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * -0.004), event.clientX, event.clientY);
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => this.down(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.up(event));
    this.svg.addEventListener("pointercancel", (event) => this.up(event));
  }

  down(event) {
    if (event.button) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const i = this.nodes.findIndex(({ group }) => group.contains(event.target));
    const leaf = i >= 0 && this.graph.nodes[i].movable ? i : -1;
    const value = leaf < 0 ? 0 : this.actions.value(leaf);
    this.grip = { x: event.clientX, y: event.clientY, view: this.view, leaf, value };
    if (this.pointers.size === 2) this.spread = this.fingers();
  }

  move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const { x, y, leaf, value } = this.grip;
    const [dx, dy] = [event.clientX - x, event.clientY - y];
    if (!this.dragged && Math.hypot(dx, dy) < 4) return;
    if (!this.dragged) this.svg.setPointerCapture(event.pointerId); // earlier, it would eat clicks
    this.dragged = true;
    if (this.pointers.size === 2) this.pinch();
    else if (leaf >= 0) this.actions.drag(leaf, value, dx, event.shiftKey);
    else this.pan(dx, dy);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    for (const { x, y } of this.pointers.values()) {
      this.grip = { x, y, view: this.view, leaf: -1 }; // the finger that stays pans on
    }
    if (!this.pointers.size) setTimeout(() => (this.dragged = false)); // after the click to come
  }

  pan(dx, dy) {
    const { view } = this.grip;
    this.fitted = false;
    this.chosen = true;
    this.look({ ...view, x: view.x - dx / view.scale, y: view.y - dy / view.scale });
  }

  fingers() {
    const [p, q] = [...this.pointers.values()];
    return { apart: Math.hypot(p.x - q.x, p.y - q.y), x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 };
  }

  pinch() {
    const now = this.fingers();
    this.zoom(now.apart / this.spread.apart, now.x, now.y);
    this.spread = now;
  }
}

/** A place for a number, which remembers what is written in it. */
const cell = (value, room = Infinity) => ({ value, room, written: "" });

/** Set an attribute of a part that remembers what it has: asking the page takes longer. */
function change(part, name, value) {
  if (part[name] === value) return;
  part[name] = value;
  part.group.setAttribute(name, value);
}

/** Write a number into its place; one longer than its room is pressed together until it fits. */
function write(line, written) {
  if (line.written === written) return;
  const [before, after] = [line.written, written].map((s) => widthOf(s) > line.room);
  line.written = written;
  line.value.textContent = written;
  if (before && !after) line.value.removeAttribute("textLength");
  if (!after) return;
  setAttribute(line.value, "textLength", String(line.room));
  setAttribute(line.value, "lengthAdjust", "spacingAndGlyphs");
}

function widthOf(written) {
  const signs = written.length - written.replace(/[-.]/g, "").length;
  return (written.length - signs) * DIGIT + signs * SIGN;
}

function middleOf(path) {
  const { x, y } = path.getPointAtLength(path.getTotalLength() / 2);
  return { x, y };
}

/** The right end of a node's outline. */
function rightOf(group) {
  const shape = group.querySelector("polygon, path");
  const corners = shape.getAttribute("points") || shape.getAttribute("d");
  return Math.max(...(corners.match(/-?[\d.]+(?=,)/g) || []).map(Number));
}

/** How a node is drawn: "done", "partial" (a running total), "coming" or "unknown". */
function statusOf(now, i, data, gradient) {
  if (data === "unknown" || gradient === "unknown") return "unknown";
  if (!now.begun) return data === "waiting" ? "coming" : "done";
  if (now.pass.graph.nodes[i].kind === "constant" || isComplete(now, i)) return "done";
  return gradient === "waiting" ? "coming" : "partial";
}
