// How does a drawn graph come to life? Its nodes are lit and clicked, and show their numbers.
//
// Graphviz has laid it out, in SVG. Node i has the id n{i}, the edge from its operand k the id
// e{i}_{k}, and the last two lines of a node's text are its data and its gradient.

// --- the drawing ---------------------------------------------------------------------------------

// Points on an edge, beside which a number may be written; best near the middle.
const [POINTS, MIDDLE, FROM_MIDDLE] = [21, 10, [0, 2, -2, 4, -4, 6, -6]];

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

/** One of Graphviz's layouts of a graph, which covers `box` in its own coordinates. */
class Layout {
  constructor(source) {
    this.source = source;
    const [x, y, width, height] = numbersOf(/viewBox="(.*?)"/.exec(source)[1]);
    const [dx, dy] = numbersOf(/translate\((.*?)\)/.exec(source)[1]);
    this.box = { x: x - dx, y: y - dy, width, height };
  }

  drawing() {
    const { documentElement } = new DOMParser().parseFromString(this.source, "image/svg+xml");
    return copied(documentElement).querySelector(".graph");
  }
}

const numbersOf = (text) => text.split(/[\s,]+/).map(Number);

const DIGIT = 6.2; // the width of a digit, in units of the drawing
const SIGN = 3.6; // the width of a point or a minus
const GAP = 5; // between a word and its number
const LEFT = 3; // from the middle to the gap: a number is longer than a word
const DEPTH = 4; // of the 3D box of a closed module
const LONG_EDGE = 2_000; // has longer dashes, as a million short ones take a second to draw

/** The graph as Graphviz drew it, its nodes and edges brought to life. */
class Picture {
  constructor(actions) {
    this.actions = actions;
    this.svg = element("svg:svg", { role: "group" });
    this.stage = element("div", { class: "stage" }, this.svg);
    this.view = new View(this, actions);
    this.view.listen(this.stage, this.svg);
    this.stage.append(this.view.overview.frame);
  }

  /** Show a graph, in that layout of the SVGs in `sources` that fits the stage best. */
  show(sources, graph) {
    this.graph = graph;
    this.layouts = sources.map((source) => new Layout(source));
    setAttribute(this.svg, "aria-label", TEXT.graph(graph.name(graph.output), graph.size));
    this.now = null;
    this.open(this.best());
  }

  /** The layout that would appear largest; the first if the others are hardly larger. */
  best() {
    const [first, ...others] = this.layouts;
    const sized = this.view.size.width ? others : [];
    return sized.reduce((best, layout) =>
      this.view.scaleOf(layout.box) > 1.1 * this.view.scaleOf(best.box) ? layout : best, first);
  }

  /** Bring a layout to life. */
  open(layout) {
    const { graph } = this;
    this.layout = layout;
    this.drawing = layout.drawing();
    this.drawing.removeAttribute("id");
    const parts = new Map();
    for (const part of this.drawing.querySelectorAll("[id]")) {
      parts.set(part.id, part);
      part.removeAttribute("id"); // ids belong to the page, on which there may be many players
    }
    for (const line of this.drawing.querySelectorAll(".edge path")) {
      if (line.getTotalLength() > LONG_EDGE) line.classList.add("long");
    }
    for (const background of this.drawing.querySelectorAll(".graph > polygon")) background.remove();
    this.nodes = graph.nodes.map((node, i) => this.node(node, i, parts.get(`n${i}`)));
    this.edges = graph.nodes.map((node, i) =>
      node.parents.map((_, k) => ({ group: parts.get(`e${i}_${k}`) })));
    this.notes = element("svg:g", { class: "notes", "aria-hidden": "true" });
    const groups = this.nodes.map(({ group }) => group);
    const titles = this.drawing.querySelectorAll(".cluster text"); // go above edges
    this.drawing.append(...titles, ...groups, this.notes); // the order in which Tab visits the nodes
    this.svg.replaceChildren(this.drawing);
    const { now, lit } = this;
    this.position = this.lit = this.pointedAt = undefined;
    this.view.open(this.drawing, layout.box);
    if (now) this.update(now, lit);
  }

  /** The stage has this size now; 0 while it is in a hidden part of the page. */
  resized(size) {
    if (!size.width) return;
    const wasHidden = !this.view.size.width;
    this.view.size = size;
    const best = this.best();
    if (best !== this.layout) this.open(best);
    else if (wasHidden) this.annotate(this.now); // boxes had no size to be clear of
    this.view.resized(size);
  }

  /** The node of the current step; at the start, the first. */
  get current() {
    return Math.max(this.now ? this.now.step.node : 0, 0);
  }

  node(node, i, group) {
    setAttribute(group, "role", node.inert ? "img" : "button");
    if (!node.inert) setAttribute(group, "tabindex", "0");
    const texts = [...group.querySelectorAll("text")];
    const numbers = node.kind === "constant" ? [] : texts.slice(-2);
    const lines = numbers.map((text, k) => {
      const kind = k ? "gradient" : "data";
      const [middle, y] = ["x", "y"].map((name) => Number(text.getAttribute(name)));
      // The word stays where it is while its number changes: that is calmer, and half the work.
      const [x, end] = [middle - LEFT - GAP / 2, middle - LEFT - 1.5 * GAP];
      const key = element("svg:text", { class: "key", x: end, y, "text-anchor": "end" });
      key.textContent = k ? TEXT.grad : TEXT.data;
      const value = element("svg:text", { class: `number ${kind}`, x, y });
      text.replaceWith(key, value);
      const side = node.kind === "module" ? DEPTH : 0;
      return cell(value, rightOf(group) - side - x - 4);
    });
    for (const text of texts) text.classList.toggle("head", !numbers.includes(text));
    if (node.label && node.label !== node.name) group.append(element("svg:title", {}, node.label));
    group.addEventListener("focus", () => {
      if (!group.matches(":focus-visible")) return;
      this.view.follow(i);
      this.stage.scrollIntoView({ block: "nearest" }); // the page scrolls to where the node was
    });
    group.addEventListener("click", () => this.view.dragged || this.actions.select(i));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // the key would also press the button that gets the focus
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
    const moved = position !== this.position;
    [this.now, this.position, this.lit] = [now, position, lit];
    if (moved) this.view.follow(this.current);
  }

  updateNode(now, node, i) {
    const { name, op, kind, movable } = this.graph.nodes[i];
    const { step } = now;
    const data = dataAt(now, i);
    const gradient = kind === "constant" ? "waiting" : gradientAt(now, i);
    const classes = ["node", kind, statusOf(now, i, data, gradient)];
    if (i === step.node) classes.push("current", step.phase);
    if (movable) classes.push("movable");
    if (i === this.pointedAt) classes.push("pointed");
    change(node, "class", classes.join(" "));
    const texts = [data === "waiting" ? TEXT.dataToCome : shown(data), shown(gradient)];
    node.lines.forEach((line, k) => write(line, texts[k]));
    const described = [name, op || TEXT.kinds[kind],
      `${TEXT.data} ${data === "waiting" ? TEXT.toCome : texts[0]}`];
    if (gradient !== "waiting") described.push(`${TEXT.grad} ${texts[1]}`);
    change(node, "aria-label", described.join(", "));
    change(node, "aria-current", String(i === step.node));
  }

  updateEdges({ step, b, position }, lit) {
    const { graph } = this;
    this.edges.forEach((edges, i) => edges.forEach((drawn, k) => {
      const entry = graph.entries.get(i);
      const edge = entry.edges.find(({ operand }) => operand === k);
      const classes = ["edge"];
      const done = b < 0 ? graph.computedAt[i] < position : entry.b <= b;
      if (i === step.node && (b < 0 || edge)) classes.push("current", step.phase);
      else classes.push(done ? "done" : "coming");
      if (lit) classes.push(lit.has(edge) ? "lit" : "unlit");
      change(drawn, "class", classes.join(" "));
    }));
  }

  /** The contributions of this backward step, beside the edges they flow along. */
  annotate(now) {
    this.actions.mark(now);
    const passed = now.b >= 0 ? now.pass.contributions[now.b] : [];
    if (!passed.length) return void this.notes.replaceChildren();
    const lines = passed.map(({ edge }) => this.edges[now.step.node][edge.operand]);
    for (const line of lines) {
      line.points = line.points || pointsOf(line.group.querySelector("path"));
    }
    const middles = lines.map(({ points }) => points[MIDDLE]);
    const [right, lowest] = ["x", "y"].map((key) => Math.max(...middles.map((at) => at[key])));
    const taken = this.nodes.map((_, j) => this.boxOf(j));
    for (const { points } of lines) taken.push(...points);
    this.notes.replaceChildren(...passed.map(({ product }, k) => {
      const text = number(product);
      const { x, y } = middles[k];
      const isLowest = lines.length > 1 && y === lowest;
      const spots = spotsBeside(lines[k].points, widthOf(text), x === right, isLowest);
      const isFree = ({ box }) => !taken.some((other) => meets(box, other));
      const { at, room, box } = spots.find(isFree) || spots[0];
      taken.push(box);
      const note = element("svg:text", at);
      write(cell(note, room), text);
      return note;
    }));
  }

  /** The part of the drawing that a node covers. */
  boxOf(j) {
    const node = this.nodes[j];
    if (!node.box || !node.box.width) node.box = node.group.getBBox(); // empty while hidden
    return node.box;
  }

  /** Light one node, or none. */
  point(i) {
    if (this.pointedAt !== undefined) this.nodes[this.pointedAt].group.classList.remove("pointed");
    if (i !== undefined) this.nodes[i].group.classList.add("pointed");
    this.pointedAt = i;
  }

  /** The middle and the size of the part of the drawing that some nodes cover. */
  region(nodes) {
    const boxes = nodes.map((j) => this.boxOf(j));
    const [left, top] = ["x", "y"].map((key) => Math.min(...boxes.map((box) => box[key])));
    const right = Math.max(...boxes.map((box) => box.x + box.width));
    const bottom = Math.max(...boxes.map((box) => box.y + box.height));
    const [width, height] = [right - left, bottom - top];
    return { x: left + width / 2, y: top + height / 2, width, height };
  }

  /** The same for a node and its parents. */
  family(i) {
    return this.region([i, ...this.graph.nodes[i].parents]);
  }
}

/** A place for a number, which remembers what is written in it. */
const cell = (value, room = Infinity) => ({ value, room, written: "" });

/** Set an attribute of a part, which caches it: asking the page takes longer. */
function change(part, name, value) {
  if (part[name] === value) return;
  part[name] = value;
  part.group.setAttribute(name, value);
}

/** Write a number into its place; one that is too long is condensed until it fits. */
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

/** Points along a line, and how far it runs across at each of them for a unit that it goes down. */
function pointsOf(path) {
  const length = path.getTotalLength();
  return Array.from({ length: POINTS }, (_, k) => {
    const [from, { x, y }, to] = [-0.1, 0, 0.1].map((step) =>
      path.getPointAtLength((k / (POINTS - 1) + step) * length));
    const run = Math.abs(to.x - from.x) / Math.abs(to.y - from.y);
    return { x, y, run, width: 0, height: 0 };
  });
}

/**
 * Where a number can be written beside a line, clear of it: from its middle on, first to the right
 * or left, or below or above, as told.
 */
function spotsBeside(points, width, isRight, isLowest) {
  const across = Math.abs(points[0].x - points[POINTS - 1].x);
  return FROM_MIDDLE.flatMap((step) => {
    const { x, y, run } = points[MIDDLE + step];
    // How far from the line the number is clear of it, on a side or above or below.
    const aside = 5 + 5 * run;
    const away = 5 + width / 2 / run;
    const steep = aside < away;
    const room = steep ? Infinity : across; // stays between the boxes
    const shown = Math.min(width, room);
    return ((steep ? isRight : isLowest) ? [1, -1] : [-1, 1]).map((side) => {
      const at = steep ? { x: x + side * aside, y: y + 4 }
        : { x, y: side > 0 ? y + away + 8 : y - away };
      const anchor = !steep ? "middle" : side > 0 ? "start" : "end";
      const left = at.x - { start: 0, middle: shown / 2, end: shown }[anchor];
      return { at: { ...at, "text-anchor": anchor }, room,
        box: { x: left, y: at.y - 10, width: shown, height: 12 } };
    });
  });
}

/** Whether two boxes overlap. */
const meets = (a, b) => a.x < b.x + b.width && a.x + a.width > b.x
  && a.y < b.y + b.height && a.y + a.height > b.y;

/** The right edge of a node's outline. */
function rightOf(group) {
  const shape = group.querySelector("polygon, path");
  const corners = shape.getAttribute("points") || shape.getAttribute("d");
  return Math.max(...(corners.match(/-?[\d.]+(?=,)/g) || []).map(Number));
}

/**
 * How a node is drawn: "coming" until its data is computed, then "done"; in the backward pass
 * "awaiting" until its gradient has received anything, "partial" with a running total, then "done".
 * After an error "unknown" without data, "lost" without a gradient.
 */
function statusOf(now, i, data, gradient) {
  if (data === "unknown") return "unknown";
  if (gradient === "unknown") return "lost";
  if (!now.begun) return data === "waiting" ? "coming" : "done";
  if (now.pass.graph.nodes[i].kind === "constant" || isComplete(now, i)) return "done";
  return gradient === "waiting" ? "awaiting" : "partial";
}
