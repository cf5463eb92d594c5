// How is a graph shown in boxes? One part of it is open, and the pass goes from box to box.
//
// A box is one node or several: a closed module, or the nodes between modules. Each box has a step
// of its own, after the steps of the boxes that it is computed from.

// --- the summary of a box ------------------------------------------------------------------------

/** Several numbers at once: the smallest and the largest of them. */
class Several {
  constructor(least, most) {
    [this.least, this.most] = [least, most];
  }

  toString() {
    const [least, most] = [this.least, this.most].map((x) => number(x, 3));
    return least === most ? least : `${least} … ${most}`;
  }
}

/** One number, or several at once; "unknown" if any is. */
function several(numbers) {
  if (numbers.some((x) => typeof x !== "number")) return "unknown";
  if (numbers.length === 1) return numbers[0];
  const least = numbers.reduce((a, b) => Math.min(a, b)); // nan if any is
  return new Several(least, numbers.reduce((a, b) => Math.max(a, b)));
}

/** The nodes of a box of several; the page holds all of them, or only a summary. */
class Group {
  constructor(graph, recorded) {
    this.graph = graph;
    this.recorded = recorded;
    this.members = [];
    for (let k = 0; k < recorded.members.length; k += 2) { // the first and the last of each run
      const [first, last] = recorded.members.slice(k, k + 2);
      for (let i = first; i <= last; i++) this.members.push(i);
    }
    this.known = new WeakMap(); // pass -> its sums
    if (graph.excerpt) return; // its sums are recorded
    const inside = new Set(this.members);
    const taken = this.members.flatMap((i) => graph.nodes[i].parents);
    this.taken = [...new Set(taken.filter((p) => !inside.has(p)))];
    const out = this.members.filter((i) => graph.users[i].some((user) => !inside.has(user)));
    const computed = out.filter((i) => graph.nodes[i].parents.length);
    this.given = computed.length ? computed : out;
  }

  /** Whether several numbers leave the box. */
  get several() {
    return this.graph.excerpt ? this.recorded.given.values > 1 : this.given.length > 1;
  }

  /** What flows into and out of the box in a pass, and what it passes back: see summary.py. */
  sums(pass) {
    if (!this.known.has(pass)) {
      this.known.set(pass, this.graph.excerpt ? this.read() : this.summed(pass));
    }
    return this.known.get(pass);
  }

  read() {
    const { taken, given, parameters, norm, handed } = this.recorded;
    const ends = (pair) =>
      pair && (pair[0] === pair[1] ? read(pair[0]) : new Several(...pair.map(read)));
    const flow = (recorded) => recorded && { ...recorded,
      data: ends(recorded.data), gradients: ends(recorded.gradients) };
    return { taken: flow(taken), given: flow(given), parameters, norm: read(norm),
      handed: handed.map(([parent, count, product]) =>
        ({ edge: { parent }, count, product: read(product) })) };
  }

  summed(pass) {
    const { graph } = this;
    const handed = [...this.members].reverse().flatMap((i) =>
      (graph.entries.has(i) ? pass.contributions[graph.entries.get(i).b] : []));
    const received = new Map(this.taken.map((p) => [p, 0]));
    for (const { edge, product } of handed) {
      if (received.has(edge.parent)) received.set(edge.parent, received.get(edge.parent) + product);
    }
    const lost = pass.problem !== null;
    const data = (nodes) => several(nodes.map((i) => (pass.known[i] ? pass.values[i] : null)));
    const differentiable = (i) => graph.nodes[i].kind !== "constant";
    const gradient = (i) => (lost ? null : pass.gradients[i]);
    const flow = (nodes, gradientOf) => {
      const receiving = nodes.filter(differentiable);
      const gradients = receiving.length ? several(receiving.map(gradientOf)) : null;
      return nodes.length ? { values: nodes.length, receiving: receiving.length,
        data: data(nodes), gradients } : null;
    };
    const trained = this.members.filter((i) => graph.nodes[i].kind === "parameter").map(gradient);
    return { taken: flow(this.taken, (i) => (lost ? null : received.get(i))),
      given: flow(this.given, gradient), parameters: trained.length,
      norm: lost ? null : Math.hypot(...trained), handed };
  }
}

// --- the graph in boxes --------------------------------------------------------------------------

/** The whole graph: every node is a box. */
class Whole {
  constructor(graph, sources) {
    this.graph = this.seen = graph;
    this.sources = sources;
    this.leaves = new Set(graph.leaves);
    this.place = -1;
  }

  at(pass, position) {
    return pass.at(position);
  }

  pictured(now) {
    return now;
  }

  lit(edges) {
    return edges;
  }

  boxOf(i) {
    return i;
  }

  nodeOf(b) {
    return b;
  }
}

/**
 * The graph with one part open. The picture uses `seen`, a graph whose nodes are the boxes;
 * everything else uses `graph`, the whole graph with one step per box.
 */
class Boxes {
  constructor(graph, folds, k, groups, open) {
    const view = folds.views[k];
    this.open = open;
    this.place = k;
    this.outer = view.outer;
    this.whole = graph;
    this.boxes = view.boxes.map((box) => (box.node === undefined
      ? { ...folds.groups[box.group], ...box, node: -1, sums: groups[box.group],
        members: groups[box.group].members }
      : { ...box, kind: graph.nodes[box.node].kind, lines: graph.nodes[box.node].lines,
        members: [box.node], runs: graph.nodes[box.node].parents.length > 0 }));
    this.of = new Int32Array(graph.size).fill(-1); // the box of each node
    this.boxes.forEach(({ members }, b) => members.forEach((i) => (this.of[i] = b)));
    const pictures = folds.pictures[view.picture];
    this.sources = pictures.map((svg) => lettered(svg, this.boxes, view.frames));
    this.schedule();
    this.leaves = new Set(this.boxes.flatMap(({ members, kind }) =>
      kind === "module" || kind === "inner" ? [] : members));
    this.passes = new WeakMap();
  }

  schedule() {
    const { whole, boxes, of } = this;
    const running = boxes.map((_, b) => b).filter((b) => boxes[b].runs);
    const part = (b) => ({ name: boxes[b].lines[0], shown: (now) => boxShown(this, b, now) });
    const step = (phase) => (b) =>
      ({ phase, node: boxes[b].node, box: b, part: boxes[b].sums ? part(b) : null });
    const steps = running.map(step("forward")).concat([...running].reverse().map(step("backward")));
    const turn = new Map(running.map((b, k) => [b, running.length - 1 - k])); // of backward steps
    const computedAt = new Int32Array(boxes.length);
    running.forEach((b, k) => (computedAt[b] = k + 1));
    const completeAt = new Int32Array(boxes.length).fill(-1);
    boxes.forEach((box, b) => {
      for (const tail of box.parents) completeAt[tail] = Math.max(completeAt[tail], turn.get(b));
    });
    const backward = steps.slice(running.length).map(({ node }) =>
      (node < 0 ? { node, edges: [] } : whole.entries.get(node)));
    const entries = new Map(backward.map((entry, b) => [entry.node, { ...entry, b }]));
    const ofNodes = (ofBoxes) => Int32Array.from(of, (b) => (b < 0 ? -1 : ofBoxes[b]));
    this.graph = Object.assign(Object.create(whole), { steps, backward, entries,
      forwardSteps: running.length,
      computedAt: ofNodes(computedAt), completeAt: ofNodes(completeAt) });
    const edges = (box) => box.parents.map((parent, operand) => ({ parent, operand }))
      .filter(({ parent }) => boxes[parent].kind !== "constant"); // which receives no gradient
    this.seen = { size: boxes.length, output: of[whole.output], computedAt, completeAt, steps,
      name: (b) => (boxes[b].sums ? boxes[b].lines[0] : whole.name(boxes[b].node)),
      nodes: boxes.map((box) => this.node(box)),
      entries: new Map(running.map((b) =>
        [b, { node: b, b: turn.get(b), edges: edges(boxes[b]) }])) };
    this.seen.backward = [...this.seen.entries.values()].reverse();
  }

  /** A box as a node of the picture. */
  node({ kind, lines, parents, sums, node, opens, size }) {
    const inert = kind === "constant" && (!!sums || this.whole.excerpt > 0); // nothing to open
    if (!sums) return { ...this.whole.nodes[node], parents, inert };
    const [name] = lines;
    const why = kind !== "module" ? ""
      : opens < 0 ? TEXT.closedPart(name, size) : TEXT.openPart(name);
    return { name, label: why, kind, parents, movable: false, inert };
  }

  /** The pass in the order of the boxes: what each passes on, and the sums that result. */
  passOf(pass) {
    if (!this.passes.has(pass)) {
      const made = Object.create(pass);
      made.graph = this.graph;
      const handed = this.graph.steps.slice(this.graph.forwardSteps).map(({ box, node }) =>
        (node < 0 ? this.boxes[box].sums.sums(pass).handed
          : pass.contributions[this.whole.entries.get(node).b]));
      made.contributions = chained(handed, pass.gradients);
      made.upstream = this.graph.backward.map(({ node }) =>
        (node < 0 ? NaN : pass.upstream[this.whole.entries.get(node).b]));
      // A box may come before the failed one although Python would have gone through it later.
      const failed = this.graph.steps.slice(this.graph.forwardSteps).findIndex(({ box }) =>
        this.boxes[box].members.some((i) => this.whole.entries.get(i)?.b >= pass.failedAt));
      made.failedAt = failed < 0 ? Infinity : failed;
      made.notes = made.contributions.map((passed, b) => this.notes(passed, b));
      this.passes.set(pass, made);
    }
    return this.passes.get(pass);
  }

  at(pass, position) {
    return this.passOf(pass).at(position);
  }

  /** The same state with boxes for nodes, as the picture needs it. */
  pictured(now) {
    const { pass } = now;
    const whole = Object.getPrototypeOf(pass);
    const states = this.boxes.map(({ sums, node }, b) => {
      if (!sums) return [pass.known[node] ? pass.values[node] : "unknown", gradientAt(now, node)];
      const complete = now.begun && this.seen.completeAt[b] <= now.b;
      const { given } = sums.sums(whole);
      return [given.data, complete ? given.gradients : "waiting"];
    });
    const known = new Uint8Array(this.boxes.length).fill(1);
    return { ...now, step: { ...now.step, node: now.step.box },
      pass: { graph: this.seen, known, values: states.map(([data]) => data), failedAt: Infinity,
        contributions: pass.notes },
      gradients: states.map(([, gradient]) => gradient),
      received: states.map(([, gradient]) => (gradient === "waiting" ? 0 : 1)) };
  }

  /** What flows back along each edge of a box, if that is one number. */
  notes(passed, b) {
    const { box, node } = this.graph.steps[this.graph.forwardSteps + b];
    return this.seen.entries.get(box).edges.flatMap((edge) => {
      const along = passed.filter((one) => this.of[one.edge.parent] === edge.parent);
      const parents = new Set(along.map((one) => one.edge.parent));
      if (parents.size !== 1 || (node < 0 && this.boxes[edge.parent].sums)) return [];
      return [{ edge, product: along.reduce((sum, { product }) => sum + product, 0) }];
    });
  }

  /** The edges between boxes that stand for these edges between nodes. */
  lit(edges) {
    if (!edges) return edges;
    const found = new Set();
    for (const entry of this.whole.backward) {
      for (const edge of entry.edges) {
        const [head, tail] = [this.of[entry.node], this.of[edge.parent]];
        if (head === tail || !edges.has(edge)) continue;
        found.add(this.seen.entries.get(head).edges.find(({ parent }) => parent === tail));
      }
    }
    return found;
  }

  boxOf(i) {
    return this.of[i];
  }

  nodeOf(b) {
    return this.boxes[b].node;
  }
}

/** The contributions of steps, with the sum that the parent has before and after each. */
function chained(steps, gradients) {
  const left = new Map();
  for (const { edge, count = 1 } of steps.flat()) {
    left.set(edge.parent, (left.get(edge.parent) || 0) + count);
  }
  const sums = new Map();
  return steps.map((handed) => handed.map((contribution) => {
    const { edge: { parent }, product, count = 1 } = contribution;
    const before = sums.get(parent) || 0;
    left.set(parent, left.get(parent) - count);
    // The last sum is the gradient as Python adds it up, whatever the order here.
    const after = left.get(parent) ? before + product : gradients[parent];
    sums.set(parent, after);
    return { ...contribution, before, after };
  }));
}

const WIDER = 33; // how much further to the left a range of numbers begins than one number

/** A picture that several views share, with the texts of one of them. */
function lettered(svg, boxes, frames) {
  const { documentElement } = new DOMParser().parseFromString(svg, "image/svg+xml");
  const write = (id, texts) => {
    const places = [...documentElement.querySelectorAll(`[id="${id}"] text`)];
    texts.forEach((text, k) => (places[k].textContent = text));
    return places.slice(texts.length);
  };
  boxes.forEach(({ lines, sums }, b) => {
    for (const place of write(`n${b}`, lines)) {
      if (sums && sums.several) place.setAttribute("x", Number(place.getAttribute("x")) - WIDER);
    }
  });
  frames.forEach((title, f) => write(`f${f}`, [title]));
  return new XMLSerializer().serializeToString(documentElement);
}
