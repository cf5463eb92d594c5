// What does a page compute? The recorded pass, run again when a leaf has moved.
//
// The programs come with the page: every node's formula, and for every backward step the local
// derivatives, as operations on numbered slots. So this file knows how to compute each row of
// autograd/ops.py, and not a single derivative. It knows nothing of what a page looks like either.

// --- numbers -------------------------------------------------------------------------------------

/** A recorded number: JSON has no nan and no infinities. */
function read(recorded) {
  const special = { nan: NaN, inf: Infinity, "-inf": -Infinity, "-0": -0 };
  return typeof recorded === "string" ? special[recorded] : recorded;
}

/** Python's format(x, ".4g"). Of a tie, JavaScript takes the larger, Python the even digit. */
function number(x, digits = 4) {
  if (Number.isNaN(x)) return "nan";
  if (x < 0 || Object.is(x, -0)) return "-" + number(-x, digits);
  if (x === Infinity) return "inf";
  if (x === 0) return "0";
  let rounded = x.toExponential(digits - 1);
  const longer = x.toExponential(digits);
  if (longer[digits + 1] === "5" && Number(longer) === x) {
    const exact = x.toExponential(60); // all digits of any number that could be a tie
    const kept = exact.slice(0, digits + 1);
    const tie = /^50*e/.test(exact.slice(digits + 1));
    if (tie && Number(kept[digits]) % 2 === 0) rounded = kept + exact.slice(62);
  }
  const [mantissa, exponent] = rounded.replace(/\.?0*e/, "e").split("e");
  const power = Number(exponent);
  if (power < -4 || power >= digits) {
    return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  const written = mantissa.replace(".", "");
  if (power < 0) return `0.${"0".repeat(-power - 1)}${written}`;
  const [whole, rest] = [written.slice(0, power + 1), written.slice(power + 1)];
  return whole.padEnd(power + 1, "0") + (rest && `.${rest}`);
}

// --- what each row of the table of primitives computes -------------------------------------------

/** Raised where Python raises; `why` is "domain", "zero" or "overflow". */
class Undefined extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

function within(domain, result) {
  if (!domain) throw new Undefined("domain");
  return result;
}

/** A result that is infinite though no operand is has overflowed. */
function bounded(result, ...operands) {
  if (Math.abs(result) === Infinity && operands.every(Number.isFinite)) {
    throw new Undefined("overflow");
  }
  return result;
}

const exp = (x) => bounded(Math.exp(x), x);

function power(x, y) {
  if (x === 0 && y < 0 && y > -Infinity) throw new Undefined("zero");
  // In Python, as in C, 1 to whatever is 1; in JavaScript not to nan and the infinities.
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  const complex = x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y);
  return bounded(within(!complex, Math.pow(x, y)), x, y);
}

function sech(x) {
  const e = exp(-Math.abs(x));
  return (2 * e) / (1 + e * e);
}

function sigmoid(x) {
  if (x >= 0) return 1 / (1 + exp(-x));
  const e = exp(x);
  return e / (1 + e);
}

/** exp(-x * x), with what rounding took from the square put back; as in ops.py. */
function gaussian(x) {
  const square = x * x;
  if (!(square < 750)) return exp(-square);
  let high = x * 134217729;
  high -= high - x;
  const low = x - high;
  const rest = high * high - square + 2 * high * low + low * low;
  const e = exp(-square);
  return e - e * rest;
}

/**
 * Up to 1 the series 2/sqrt(pi) e^(-x^2) x (1 + 2x^2/3 (1 + 2x^2/5 (1 + ...))), of which no term is
 * negative; beyond, 1 - erfc(x) with Laplace's continued fraction for
 * sqrt(pi) e^(x^2) erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))).
 */
function erf(x) {
  const size = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (size > 6) return Math.sign(x); // erfc(6) is 2e-17
  if (size <= 1) {
    let sum = 0;
    for (let k = 24; k > 0; k--) sum = ((2 * x * x) / (2 * k + 1)) * (1 + sum);
    const scaled = x * gaussian(x);
    return (2 / Math.sqrt(Math.PI)) * (scaled + scaled * sum);
  }
  let fraction = size;
  for (let k = 200; k > 0; k--) fraction = size + k / 2 / fraction;
  return Math.sign(x) * (1 - gaussian(x) / (Math.sqrt(Math.PI) * fraction));
}

function div(a, b) {
  if (b === 0) throw new Undefined("zero");
  return a / b;
}

const OPERATIONS = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div,
  neg: (x) => -x,
  pow: power,
  power,
  exp,
  expm1: (x) => bounded(Math.expm1(x), x),
  log: (x) => within(!(x <= 0), Math.log(x)),
  log1p: (x) => within(!(x <= -1), Math.log1p(x)),
  sqrt: (x) => within(!(x < 0), Math.sqrt(x)),
  sin: (x) => within(Math.abs(x) !== Infinity, Math.sin(x)),
  cos: (x) => within(Math.abs(x) !== Infinity, Math.cos(x)),
  sech,
  tanh: Math.tanh,
  sigmoid,
  softplus: (x) => (x > 0 ? x + Math.log1p(exp(-x)) : Math.log1p(exp(x))),
  gaussian,
  erf,
  exponent: (y) => y,
  one_less: (y, x) => (x === 0 && y === 0 ? y : y - 1),
  log_of_base: (x) => (x === 0 ? 0 : Math.log(x)), // nan below 0
  greater: (a, b) => (a > b ? 1 : 0),
  less: (a, b) => (a < b ? 1 : 0),
  relu: (x) => (x <= 0 ? 0 : x),
  abs: Math.abs,
  maximum: (a, b) => (a >= b || Number.isNaN(a) ? a : b),
  minimum: (a, b) => (a <= b || Number.isNaN(a) ? a : b),
  where: (condition, a, b) => (condition !== 0 ? a : b), // nan is true, as in Python
};

function compute([slot, name, operands], values) {
  values[slot] = OPERATIONS[name](...operands.map((s) => values[s]));
}

/** What an attempt raised, if it is an error that Python raises too. */
function raised(attempt) {
  try {
    attempt();
    return null;
  } catch (error) {
    if (error instanceof Undefined) return error;
    throw error;
  }
}

// --- the recorded graph --------------------------------------------------------------------------

/** What `Steps.data()` recorded; `steps` are the forward steps, then the backward steps. */
class Graph {
  constructor(recorded) {
    Object.assign(this, recorded);
    this.size = this.nodes.length;
    this.values = new Float64Array(this.slots);
    this.nodes.forEach((node, i) => (this.values[i] = read(node.data)));
    for (const [slot, constant] of this.constants) this.values[slot] = read(constant);
    this.leaves = [];
    this.steps = [];
    this.nodes.forEach((node, i) => {
      if (node.parents.length) this.steps.push({ phase: "forward", node: i });
      else if (node.kind !== "constant") this.leaves.push(i);
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
    this.completeAt = new Int32Array(this.size).fill(-1); // the last one that can change a gradient
    this.awaited = new Int32Array(this.size); // how many contributions a node receives in all
    this.backward.forEach((entry, b) => {
      this.steps.push({ phase: "backward", node: entry.node });
      this.entries.set(entry.node, { ...entry, b });
      for (const j of this.nodes[entry.node].parents) this.completeAt[j] = b;
      for (const edge of entry.edges) {
        this.awaited[edge.parent]++;
        edge.recorded = edge.local_value === undefined ? null : read(edge.local_value);
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
    this.failedAt = this.problem ? 0 : Infinity; // the backward step from which on nothing is known
    this.runBackward();
  }

  runForward() {
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
    // Untouched, the page shows the very numbers that Python computed.
    if (!this.moved) values.set(graph.values.subarray(0, graph.size));
  }

  runBackward() {
    const { graph } = this;
    const gradients = new Float64Array(graph.size);
    gradients[graph.output] = 1;
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

  /** The local derivative along an edge. Raises Undefined where Python raises. */
  local(edge) {
    if (edge.recorded !== null && !(this.moved && edge.program)) return edge.recorded;
    if (!this.locals.has(edge)) {
      if (!edge.program) throw new Undefined("domain"); // Python code, and nothing flowed here
      for (const instruction of edge.program) compute(instruction, this.values);
      this.locals.set(edge, this.values[edge.local]);
    }
    return this.locals.get(edge);
  }

  /** What is known after the first `position` steps. */
  at(position) {
    const { graph } = this;
    const b = position - graph.forwardSteps - 1; // the latest backward step
    const begun = b >= 0 || !graph.steps.length;
    const step = position ? graph.steps[position - 1] : { phase: "start", node: -1 };
    const gradients = new Float64Array(graph.size);
    const received = new Int32Array(graph.size);
    if (begun) gradients[graph.output] = 1;
    for (const passed of this.contributions.slice(0, Math.max(b + 1, 0))) {
      for (const { edge, after } of passed) {
        gradients[edge.parent] = after;
        received[edge.parent]++;
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

/** Whether the gradient of node i has received all it will. */
function isComplete(now, i) {
  const { output, completeAt } = now.pass.graph;
  return now.begun && (i === output || completeAt[i] <= now.b);
}

// --- the chain rule ------------------------------------------------------------------------------

/**
 * The paths along which the output depends on a node: how many there are, the edges on any of
 * them, and the first `most`, each a list of { from, edge }.
 */
function pathsTo(graph, target, most) {
  const edgesOf = (i) => (graph.entries.has(i) ? graph.entries.get(i).edges : []);
  const ways = new Array(graph.size).fill(0n); // from each node down to the target
  const edges = new Set();
  ways[target] = 1n;
  for (let i = target + 1; i <= graph.output; i++) {
    for (const edge of edgesOf(i)) {
      ways[i] += ways[edge.parent];
      if (ways[edge.parent]) edges.add(edge);
    }
  }
  const found = [];
  const waiting = [{ node: graph.output, edge: null, above: null }];
  while (waiting.length && found.length < most && ways[graph.output]) {
    const here = waiting.pop();
    if (here.node === target) {
      const path = [];
      for (let { edge, above } = here; above; { edge, above } = above) {
        path.unshift({ from: above.node, edge });
      }
      found.push(path);
    } else {
      const open = edgesOf(here.node).filter((edge) => ways[edge.parent]);
      for (const edge of open.reverse()) waiting.push({ node: edge.parent, edge, above: here });
    }
  }
  return { count: ways[graph.output], found, edges };
}

/** The local derivatives along a path and their product, null where they are unknown. */
function productAlong(pass, path) {
  const lost = pass.problem && !pass.problem.backward;
  let product = lost ? null : 1;
  const locals = path.map(({ edge }) => {
    let local = null;
    const error = lost || raised(() => (local = pass.local(edge)));
    // As in the pass, a 0 lets nothing more through, not even what is infinite or undefined.
    if (product !== null && product !== 0) product = error ? null : product * local;
    return error ? null : local;
  });
  return { locals, product };
}
