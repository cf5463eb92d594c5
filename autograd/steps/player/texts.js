// What words does the page use? All of them, in one place, and how numbers are shown.

const TEXT = {
  player: (output) => `Backpropagation through ${output}, an interactive player`,
  graph: (output, n) => `The graph of ${output}, ${n} nodes`,
  data: "data",
  grad: "grad",
  unknown: "?",
  waiting: "–", // for a gradient
  dataToCome: "…",
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
  overview: "Overview of the graph: drag to see another part",
  present: "Present on the full screen (f)",
  leave: "Leave the presentation (f)",
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
