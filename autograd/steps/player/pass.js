// What does a page compute? The recorded pass, run again when a leaf has moved.
//
// The programs come with the page: every node's formula, and for every backward step the local
// derivatives, as operations on numbered slots. So this file contains no derivative. It knows
// nothing about what the page looks like either.

// --- the recorded graph --------------------------------------------------------------------------

/**
 * What `Steps.data()` recorded. `steps` are the forward steps, then the backward steps, each with
 * its node and the box of the picture that shows it: the node itself, unless the graph is folded.
 */
class Graph {
  constructor(recorded) {
    Object.assign(this, recorded);
    this.size = this.nodes.length;
    this.values = new Float64Array(this.slots);
    this.nodes.forEach((node, i) => (this.values[i] = read(node.data)));
    for (const [slot, constant] of this.constants) this.values[slot] = read(constant);
    this.leaves = [];
    this.users = this.nodes.map(() => []); // the nodes that each is an operand of
    this.nodes.forEach(({ parents }, i) => parents.forEach((p) => this.users[p].push(i)));
    this.steps = [];
    this.nodes.forEach((node, i) => {
      if (node.parents.length) this.steps.push({ phase: "forward", node: i, box: i });
      else if (node.kind === "leaf" || node.kind === "parameter") this.leaves.push(i);
    });
    this.forwardSteps = this.steps.length;
    this.computedAt = new Int32Array(this.size); // the position at which a node's data is known
    this.steps.forEach((step, k) => (this.computedAt[step.node] = k + 1));
    this.readBackward();
    // An intermediate slot belongs to the node that is computed next.
    this.owners = new Map();
    let waiting = [];
    for (const [slot] of this.forward) {
      waiting.push(slot);
      if (slot >= this.size) continue;
      for (const s of waiting) this.owners.set(s, slot);
      waiting = [];
    }
  }

  readBackward() {
    this.entries = new Map(); // node -> its backward step, with its place `b` among these
    this.completeAt = new Int32Array(this.size).fill(-1); // the last step to change a gradient
    this.uses = this.nodes.map(() => []); // the edges to each node, in the order of the pass
    this.reached = new Set([this.output]); // by edges; not what is used only as a condition
    this.backward.forEach((entry, b) => {
      this.steps.push({ phase: "backward", node: entry.node, box: entry.node });
      this.entries.set(entry.node, { ...entry, b });
      for (const j of this.nodes[entry.node].parents) this.completeAt[j] = b;
      for (const edge of entry.edges) {
        this.uses[edge.parent].push(edge);
        if (this.reached.has(entry.node)) this.reached.add(edge.parent);
        Object.assign(edge, { node: entry.node, b });
        edge.recorded = read(edge.local_value); // null if the pass did not need it
      }
    });
  }

  name(i) {
    return this.nodes[i].name;
  }
}

// --- one pass ------------------------------------------------------------------------------------

/** A whole pass, forward and backward, with the leaves in `moved` (node -> number) moved. */
class Pass {
  constructor(graph, moved) {
    this.graph = graph;
    this.moved = moved.size > 0;
    this.values = graph.values.slice();
    this.known = new Uint8Array(graph.slots).fill(1);
    this.locals = new Map(); // the local derivatives that were computed here
    this.problem = null; // { node, why, backward }: the first thing that Python would raise
    for (const [i, x] of moved) this.values[i] = x;
    this.runForward();
    this.failedAt = this.problem ? 0 : Infinity; // the backward step from which nothing is known
    if (graph.excerpt) this.readBackward();
    else this.runBackward();
  }

  runForward() {
    if (!this.moved) return; // until then, the page shows exactly the numbers that Python computed
    const { graph, values, known } = this;
    for (const instruction of graph.forward) {
      const [slot, , operands] = instruction;
      known[slot] = operands.every((s) => known[s]) ? 1 : 0;
      if (!known[slot]) continue;
      const error = raised(() => compute(instruction, values));
      if (!error) continue;
      known[slot] = 0;
      const node = graph.owners.get(slot);
      this.problem = this.problem || { node, why: error.why, backward: false };
    }
  }

  runBackward() {
    const { graph } = this;
    const gradients = new Float64Array(graph.size);
    gradients[graph.output] = 1;
    this.gradients = gradients;
    this.upstream = new Float64Array(graph.backward.length);
    this.contributions = graph.backward.map((entry, b) => {
      this.upstream[b] = gradients[entry.node];
      if (b >= this.failedAt || this.upstream[b] === 0) return [];
      const passed = [];
      const error = raised(() => {
        for (const edge of entry.edges) {
          const local = this.local(edge);
          const product = this.upstream[b] * local;
          const before = gradients[edge.parent];
          gradients[edge.parent] = before + product;
          passed.push({ edge, local, product, before, after: before + product });
        }
      });
      if (!error) return passed;
      this.failedAt = b;
      this.problem = { node: entry.node, why: error.why, backward: true };
      return [];
    });
  }

  /** For an excerpt, the page holds the gradients that Python computed; no leaf can be moved. */
  readBackward() {
    const { graph } = this;
    this.gradients = Float64Array.from(graph.gradients, (x) => (x === null ? 0 : read(x)));
    this.upstream = graph.backward.map(({ node }) => this.gradients[node]);
    this.contributions = graph.backward.map(({ edges }, b) => {
      const upstream = this.upstream[b];
      const product = (edge) => ({ edge, local: edge.recorded, product: upstream * edge.recorded });
      return upstream === 0 ? [] : edges.map(product);
    });
  }

  /** The local derivative along an edge. Raises Undefined where Python raises. */
  local(edge) {
    if (this.raises(edge.node)) throw new Undefined("domain");
    if (edge.recorded !== null && !(this.moved && edge.program)) return edge.recorded;
    if (!this.locals.has(edge)) {
      if (!edge.program) throw new Undefined("domain"); // Python code that nothing flowed through
      const read = [edge.local, ...edge.program.flatMap(([, , operands]) => operands)];
      if (!read.every((slot) => this.known[slot])) throw new Undefined("domain");
      for (const instruction of edge.program) compute(instruction, this.values);
      this.locals.set(edge, this.values[edge.local]);
    }
    return this.locals.get(edge);
  }

  /** Whether node i cannot be computed although all its parents are known. */
  raises(i) {
    return !this.known[i] && this.graph.nodes[i].parents.every((p) => this.known[p]);
  }

  /** What is known after the first `position` steps. */
  at(position) {
    const { graph } = this;
    const b = position - graph.forwardSteps - 1; // the latest backward step
    const begun = b >= 0 || !graph.steps.length;
    const step = position ? graph.steps[position - 1] : { phase: "start", node: -1, box: -1 };
    const gradients = new Float64Array(graph.size);
    const received = new Int32Array(graph.size);
    if (begun) gradients[graph.output] = 1;
    for (const passed of this.contributions.slice(0, Math.max(b + 1, 0))) {
      for (const { edge, after, count = 1 } of passed) {
        gradients[edge.parent] = after;
        received[edge.parent] += count;
      }
    }
    return { pass: this, position, step, b, begun, gradients, received };
  }
}

// What a state that `at` returned knows of node i: a number, or "unknown" or "waiting".

function dataAt(now, i) {
  if (now.pass.graph.computedAt[i] > now.position) return "waiting";
  return now.pass.known[i] ? now.pass.values[i] : "unknown";
}

function gradientAt(now, i) {
  const { pass, b, begun } = now;
  if (!begun) return "waiting";
  if (i === pass.graph.output) return 1;
  if (b >= pass.failedAt && pass.graph.completeAt[i] >= pass.failedAt) return "unknown";
  return now.received[i] || isComplete(now, i) ? now.gradients[i] : "waiting";
}

/** The local derivative along an edge, even after an error elsewhere; null if unknown. */
function localOf(pass, edge) {
  let local = null;
  raised(() => (local = pass.local(edge)));
  return local;
}

/** Whether the gradient of node i has received all its contributions. */
function isComplete(now, i) {
  const { output, completeAt } = now.pass.graph;
  return now.begun && (i === output || completeAt[i] <= now.b);
}

// --- the chain rule ------------------------------------------------------------------------------

const MOST = { paths: 8, factors: 6 }; // with more paths or factors, no path is written out

/** Whether the local derivative along an edge is 1, whatever the leaves are. */
function isOne(graph, { symbols, local }) {
  return symbols.length === 1 && symbols[0] === "1" && graph.values[local] === 1;
}

/** What a use contributes, and its factors; null for what is unknown. */
function contributionOf(pass, edge) {
  const upstream = edge.b > pass.failedAt ? null : pass.upstream[edge.b];
  if (upstream === 0) return { upstream, local: null, product: 0 }; // it passes nothing on
  const passed = pass.contributions[edge.b].find((each) => each.edge === edge);
  const local = localOf(pass, edge);
  const known = upstream !== null && local !== null;
  return { upstream, local, product: passed ? passed.product : known ? upstream * local : null };
}

/**
 * All paths from the output to a node; none if there are too many or one is too long. A path is a
 * list of edges; `count` paths go through the same nodes with the same derivatives, 2 for `x * x`.
 */
function pathsTo(graph, target) {
  const found = [];
  const waiting = [{ node: target, edges: [], length: 0 }];
  while (waiting.length) {
    const { node, edges, length } = waiting.pop();
    if (node === graph.output) found.push(edges);
    for (const edge of [...graph.uses[node]].reverse()) {
      if (!graph.reached.has(edge.node)) continue;
      const longer = length + (isOne(graph, edge) ? 0 : 1);
      waiting.push({ node: edge.node, edges: [edge, ...edges], length: longer });
      if (longer > MOST.factors || waiting.length + found.length > MOST.paths) return [];
    }
  }
  const alike = new Map();
  for (const edges of found) {
    const key = JSON.stringify(edges.map(({ node, symbols }) => [node, symbols]));
    alike.set(key, { edges, count: alike.has(key) ? alike.get(key).count + 1 : 1 });
  }
  return [...alike.values()];
}

/** The numbers along a path, without factors of 1, and their product; null for what is unknown. */
function productAlong(pass, { edges, count }) {
  const passed = edges.map((edge) => contributionOf(pass, edge));
  const slopes = passed.filter((_, k) => !isOne(pass.graph, edges[k]));
  const locals = slopes.map(({ local }) => local);
  const silent = passed.some(({ upstream }) => upstream === 0);
  const unknown = locals.includes(null);
  const product = silent ? 0 : unknown ? null : count * locals.reduce((x, local) => x * local, 1);
  return { locals, product, silent };
}
