// What do the panels beside the picture show? The step, the chain rule of a node, and the leaves.

// --- texts ---------------------------------------------------------------------------------------

const TEXT = {
  player: (output) => `Backpropagation through ${output}, an interactive player`,
  graph: (output, n) => `The graph of ${output}, ${n} nodes`,
  data: "data",
  grad: "grad",
  unknown: "?",
  waiting: "–",
  toCome: "to come",
  kinds: {
    leaf: "leaf", parameter: "parameter", constant: "number", inner: "operation", output: "output",
  },
  hint: "Drag a leaf sideways to change its value (Shift: finer). Click a node for its chain rule.",

  first: "First step",
  back: "One step back",
  play: "Play",
  pause: "Pause",
  next: "One step forward",
  last: "Last step",
  slider: "Step",
  speed: "Speed",
  zoomIn: "Zoom in",
  zoomOut: "Zoom out",
  fit: "See the whole graph",
  close: "Close",

  count: (position, last) => `step ${position} of ${last}`,
  title: {
    start: () => "Start: the leaves are known",
    forward: (name) => `Forward: ${name}`,
    backward: (name) => `Backward through ${name}`,
  },
  intro: "First every node is computed from its parents. Then the gradient flows back: each node "
    + "hands every parent its own gradient times the local derivative, and the parent adds up "
    + "what it receives.",
  alone: "A leaf alone: its derivative by itself is 1.",
  upstream: "upstream",
  local: "local",
  contribution: "upstream × local",
  gradient: "gradient",
  seed: "Here the pass begins.",
  more: (n) => `${n} more to come`,
  operand: (k) => `as operand ${k + 1}`,
  zero: (name) => `The gradient of ${name} is 0: nothing is passed on.`,
  plain: (name) => `${name} is made of plain numbers, which receive no gradient.`,
  why: {
    domain: "outside the domain",
    zero: "division by zero",
    overflow: "the result is too large for a float",
  },
  inBackward: (call) => `backward of ${call}`,

  chain: (name) => `Chain rule of ${name}`,
  paths: (count, from, to) => count === 1n
    ? `One path leads from ${from} to ${to}.` : `${count} paths lead from ${from} to ${to}:`,
  others: (count) => `and ${count} more`,
  noPath: (from, to) => `No derivative leads from ${from} to ${to}.`,
  constant: "A plain number receives no gradient.",
  itself: "The output itself: every path starts here.",

  leaves: "Leaves",
  reset: "Reset",
  resetLeaves: "Set all leaves back to their recorded values",
  value: (name) => `Value of ${name}`,
  fixed: (why) => `cannot be moved: ${why}`,
};

/** A number, or what stands for one that is unknown or still to come. */
function shown(x) {
  return x === null ? TEXT.unknown : typeof x === "number" ? number(x) : TEXT[x];
}

/** `log(x = 0): it takes numbers above 0`, in the words of Python's message. */
function explained(pass) {
  const { graph, problem } = pass;
  const node = graph.nodes[problem.node];
  const operands = node.parents.map((j) => {
    const text = number(pass.values[j]);
    return graph.nodes[j].kind === "constant" ? text : `${graph.name(j)} = ${text}`;
  });
  const why = problem.why === "domain" && node.domain ? node.domain : TEXT.why[problem.why];
  const call = `${node.op}(${operands.join(", ")})`;
  return `${problem.backward ? TEXT.inBackward(call) : call}: ${why}`;
}

// --- equations -----------------------------------------------------------------------------------

/** A node's name; pointing at it lights the node. */
const nameOf = (graph, i) => element("span", { class: "name", "data-node": i }, graph.name(i));
const dataNumber = (text) => span("number data", text);
const gradientNumber = (text) => span("number gradient", text);
const grouped = (text) => (text.startsWith("-") ? `(${text})` : text);

/** A recorded formula with the names of the nodes in their places. */
function inSymbols(pass, formula) {
  const { graph } = pass;
  return formula.map((item) => {
    if (typeof item === "string") return item;
    if (item.slot >= graph.size || graph.nodes[item.slot].kind === "constant") {
      return span("number", inPlace(pass, item));
    }
    const made = nameOf(graph, item.slot);
    if (item.name !== undefined) made.textContent = item.name;
    return made;
  });
}

/** The same with their numbers. */
function inNumbers(pass, formula) {
  return formula.map((item) => (typeof item === "string" ? item : dataNumber(inPlace(pass, item))));
}

function inPlace(pass, item) {
  const text = pass.known[item.slot] ? number(pass.values[item.slot]) : TEXT.unknown;
  return item.grouped ? grouped(text) : text;
}

/** ∂a/∂b, one above the other; read aloud or copied, it is ∂a/∂b in one line. */
function slope(of, by) {
  const line = (name) => span("", "∂", element("i", {}, name));
  return span("slope", line(of), span("hidden", "/"), line(by));
}

/** Lines below each other, their signs in a column: `c = a * b`, `= 2 * 3`, `= 6`. */
function equation(left, ...rights) {
  const lines = [span("left", ...left)];
  for (const right of rights) lines.push(span("sign", " = "), span("right", ...right));
  return element("div", { class: "equation" }, ...lines);
}

/** A derivative in symbols and in numbers, written once if they are the same. */
function symbolsAndNumber(pass, formula, text) {
  const symbols = inSymbols(pass, formula);
  const written = symbols.map((part) => part.textContent || part).join("");
  return written === text ? symbols : [...symbols, " = ", dataNumber(text)];
}

// --- the step that is shown ----------------------------------------------------------------------

/** The panel beside the picture: what happens in this step, in symbols and in numbers. */
class StepView {
  constructor(graph) {
    this.graph = graph;
    this.title = element("h3");
    this.count = span("count");
    this.problem = element("p", { class: "problem", role: "alert" });
    this.body = element("div", { class: "body" });
    const head = element("header", {}, this.title, this.count);
    this.section = element("section", { class: "step" }, head, this.problem, this.body);
  }

  update(now) {
    const { graph } = this;
    const { step, pass } = now;
    setAttribute(this.section, "class", `step ${step.phase}`);
    setText(this.title, TEXT.title[step.phase](step.node < 0 ? "" : graph.name(step.node)));
    setText(this.count, TEXT.count(now.position, graph.steps.length));
    setText(this.problem, pass.problem ? explained(pass) : "");
    this.problem.hidden = !pass.problem;
    this.body.replaceChildren(...this[step.phase](now));
  }

  start() {
    return [note(this.graph.steps.length ? TEXT.intro : TEXT.alone)];
  }

  forward(now) {
    const { pass, step } = now;
    const { formula } = this.graph.nodes[step.node];
    const result = dataNumber(shown(dataAt(now, step.node)));
    return [equation([nameOf(this.graph, step.node)],
      inSymbols(pass, formula), inNumbers(pass, formula), [result])];
  }

  backward(now) {
    const { graph } = this;
    const { pass, step, b } = now;
    const name = graph.name(step.node);
    const { edges } = graph.backward[b];
    const gradient = gradientNumber(shown(gradientAt(now, step.node)));
    const upstream = element("div", { class: "rows" }, ...this.row(TEXT.upstream,
      slope(graph.name(graph.output), name), " = ", gradient,
      span("note", step.node === graph.output ? TEXT.seed : "")));
    const silent = b < pass.failedAt && pass.upstream[b] === 0;
    return [equation([nameOf(graph, step.node)], inSymbols(pass, graph.nodes[step.node].formula)),
      upstream,
      ...(!edges.length ? [note(TEXT.plain(name))]
        : silent ? [note(TEXT.zero(name))] : edges.map((edge, k) => this.parent(now, edge, k)))];
  }

  row(key, ...value) {
    return [span("key", key), span("value", ...value)];
  }

  /** One parent: the local derivative, the contribution, and the total it makes. */
  parent(now, edge, k) {
    const { graph } = this;
    const { pass, step, b } = now;
    const [name, parent, output] = [step.node, edge.parent, graph.output].map((i) => graph.name(i));
    const passed = pass.contributions[b][k];
    const [local, product, before, after] =
      ["local", "product", "before", "after"].map((key) => shown(passed ? passed[key] : null));
    const upstream = shown(gradientAt(now, step.node));
    const same = graph.backward[b].edges.filter((other) => other.parent === edge.parent);
    const earlier = pass.at(now.position - 1).received[edge.parent] + same.indexOf(edge);
    const left = graph.awaited[edge.parent] - earlier - 1;
    const sum = earlier
      ? [gradientNumber(before), " + ", gradientNumber(grouped(product)), " = "] : [];
    return element("div", { class: "rows parent" },
      ...this.row(TEXT.local, slope(name, parent), " = ",
        ...symbolsAndNumber(pass, edge.symbols, local),
        span("note", same.length > 1 ? TEXT.operand(edge.operand) : "")),
      ...this.row(TEXT.contribution, gradientNumber(upstream), " × ", dataNumber(grouped(local)),
        " = ", gradientNumber(product)),
      ...this.row(TEXT.gradient, slope(output, parent), " = ", ...sum, gradientNumber(after),
        span("note", left && passed ? TEXT.more(left) : "")));
  }

  /** The step in one line, for a screen reader. */
  spoken() {
    return [this.count, this.title, this.problem, ...this.body.children]
      .map((part) => part.textContent).filter(Boolean).join(". ");
  }
}

// --- the chain rule of one node ------------------------------------------------------------------

const MOST_PATHS = 20;
const MANY = 10; // paths or leaves

/** The panel that writes out, for one node, every path of the chain rule. */
class ChainView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.title = element("h3");
    this.closer = button("close", () => actions.select(-1));
    this.body = element("div", { class: "body" });
    const head = element("header", {}, this.title, this.closer);
    this.section = element("section", { class: "chain", role: "dialog" }, head, this.body);
    this.select(-1);
  }

  select(i) {
    this.node = i;
    this.section.hidden = i < 0;
    this.lit = null;
    this.written = null;
    if (i < 0) return;
    const title = TEXT.chain(this.graph.name(i));
    setText(this.title, title);
    setAttribute(this.section, "aria-label", title);
    this.paths = pathsTo(this.graph, i, MOST_PATHS);
    this.lit = this.paths.edges;
  }

  /** The texts stay, and only numbers change, as long as the node is the same. */
  build(pass) {
    const { graph, node } = this;
    const { count, found } = this.paths;
    const [output, name] = [graph.name(graph.output), graph.name(node)];
    this.total = cell(gradientNumber(""));
    this.terms = found.map(() => cell(gradientNumber("")));
    this.written = found.map((path) => this.path(pass, path));
    const rest = count - BigInt(found.length);
    const terms = this.terms.flatMap(({ value }, k) => [k ? " + " : "", value]);
    const total = [this.total.value];
    const lines = count > 1n ? [[...terms, rest ? " + …" : ""], total] : [total];
    const result = equation([slope(output, name)], ...lines);
    if (graph.nodes[node].kind === "constant") return [note(TEXT.constant)];
    if (node === graph.output) return [note(TEXT.itself), result];
    if (!count) return [note(TEXT.noPath(output, name)), result];
    const parts = [note(TEXT.paths(count, output, name)), ...this.written.map(({ part }) => part)];
    return rest ? [...parts, note(TEXT.others(rest)), result] : [...parts, result];
  }

  /** One path: the nodes on it, the slopes between these in symbols and in numbers, the product. */
  path(pass, path) {
    const { graph } = this;
    const route = [nameOf(graph, graph.output)];
    const [slopes, symbols, line] = [[], [], []];
    const numbers = path.map(({ from, edge }, k) => {
      if (k) [slopes, symbols, line].forEach((written) => written.push(" × "));
      route.push(" → ", nameOf(graph, edge.parent));
      slopes.push(slope(graph.name(from), graph.name(edge.parent)));
      const apart = path.length > 1 && edge.symbols.some((part) => / [-+*/] |^-/.test(part));
      const factor = inSymbols(pass, edge.symbols);
      symbols.push(...(apart ? ["(", ...factor, ")"] : factor));
      const local = cell(dataNumber(""));
      line.push(local.value);
      return local;
    });
    const product = cell(gradientNumber(""));
    const alone = new Set(path.map(({ edge }) => edge));
    const part = element("div", { class: "path", pointerenter: () => this.actions.light(alone),
      pointerleave: () => this.actions.light(this.lit) },
    element("div", { class: "route" }, ...route),
    element("div", { class: "slopes" }, ...slopes),
    equation([], symbols, ...(path.length > 1 ? [line] : []), [product.value]));
    return { path, part, numbers, product };
  }

  update(pass) {
    if (this.node < 0) return;
    if (!this.written) this.body.replaceChildren(...this.build(pass));
    this.body.classList.toggle("many", this.written.length > MANY);
    const { steps } = this.graph;
    write(this.total, shown(gradientAt(pass.at(steps.length), this.node)));
    this.written.forEach(({ path, numbers, product }, i) => {
      const result = productAlong(pass, path);
      const text = shown(result.product);
      write(product, text);
      write(this.terms[i], i ? grouped(text) : text);
      const locals = result.locals.map(shown);
      locals.forEach((local, k) => write(numbers[k], k ? grouped(local) : local));
    });
  }
}

// --- leaves --------------------------------------------------------------------------------------

const TICKS = 200; // of a slider to either side, and pixels of a drag for the same way

/** How far a slider reaches to either side of a number. */
function reach(x) {
  const size = Math.abs(x);
  return size > 0 && size < Infinity ? (size < 0.01 ? 2 * size : Math.max(2 * size, 1)) : 1;
}

/** x + change, rounded to a decimal no coarser than `unit`; x itself where nothing changes. */
function moved(x, change, unit) {
  if (!change) return x;
  const places = Math.ceil(-Math.log10(unit));
  return Number((x + change).toFixed(Math.max(0, Math.min(places, 100))));
}

/** The list of the leaves, each with a slider, a field, and the gradient it has received. */
class LeavesView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.rows = graph.leaves.map((i) => this.row(i));
    const labels = { "aria-label": TEXT.resetLeaves, title: TEXT.resetLeaves };
    const attributes = { type: "button", class: "button", ...labels, click: actions.reset };
    this.reset = element("button", attributes, TEXT.reset);
    const list = element("ul", {}, ...this.rows.map(({ item }) => item));
    const longest = Math.max(0, ...graph.leaves.map((i) => graph.name(i).length));
    list.style.setProperty("--name", `${0.6 * Math.min(longest, 23) + 0.8}em`);
    list.classList.toggle("long", longest > 8);
    list.classList.toggle("many", this.rows.length > MANY);
    const head = element("header", {}, element("h3", {}, TEXT.leaves), this.reset);
    this.section = element("section", { class: "leaves" }, head, list);
  }

  row(i) {
    const { graph, actions } = this;
    const { name, movable, fixed_because: why } = graph.nodes[i];
    const start = graph.values[i];
    const centre = Number.isFinite(start) ? start : 0;
    const unit = reach(centre) / TICKS;
    const gradient = cell(gradientNumber(""));
    const ends = [span("grad", span("key", TEXT.grad), " ", gradient.value)];
    if (!movable) {
      const fixed = [dataNumber(number(start)), ...ends, span("note", TEXT.fixed(why))];
      return { i, gradient, item: element("li", { class: "fixed" }, nameOf(graph, i), ...fixed) };
    }
    const label = { "aria-label": TEXT.value(name) };
    const slider = element("input", { type: "range", min: -TICKS, max: TICKS, step: 1, ...label,
      input: () => actions.set(i, moved(centre, slider.valueAsNumber * unit, unit)) });
    const step = Number(`1e${Math.floor(Math.log10(20 * unit))}`);
    const field = element("input", { type: "number", step, ...label,
      input: () => Number.isNaN(field.valueAsNumber) || actions.set(i, field.valueAsNumber),
      blur: () => this.move(row, actions.value(i)) });
    const ticks = (x) => Math.max(-TICKS, Math.min(TICKS, Math.round((x - centre) / unit))) || 0;
    const item = element("li", {}, nameOf(graph, i), slider, field, ...ends);
    const row = { i, item, gradient, slider, field, ticks };
    return row;
  }

  update(now, anyMoved) {
    enable(this.reset, anyMoved);
    for (const row of this.rows) {
      write(row.gradient, shown(gradientAt(now, row.i)));
      if (row.slider && !Object.is(row.value, now.pass.values[row.i])) {
        this.move(row, now.pass.values[row.i]);
      }
    }
  }

  /** Show a leaf's new value, but not in the middle of what is being typed. */
  move(row, x) {
    const { slider, field } = row;
    slider.value = String(row.ticks(x));
    setAttribute(slider, "aria-valuetext", number(x));
    if (field.getRootNode().activeElement === field) return;
    field.value = Number.isFinite(x) ? number(x, 6) : "";
    row.value = x;
  }
}
