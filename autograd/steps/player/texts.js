// What words does the page use? All of them in one place, and how numbers are shown.

const TEXT = {
  player: (output) => `Backpropagation through ${output}, an interactive player`,
  graph: (output, n) => `The graph of ${output}, ${counted(n, "node")}`,
  data: "data",
  grad: "grad",
  unknown: "?",
  waiting: "–", // for a gradient
  dataToCome: "…",
  toCome: "not computed yet",
  kinds: {
    leaf: "leaf", parameter: "parameter", constant: "constant", inner: "operation",
    output: "output", module: "closed module",
  },
  hints: {
    open: "Click a module to open it.",
    drag: "Drag a leaf sideways to change its value (Shift: finer).",
    chain: "Click a node for its chain rule.",
    step: "Click a node to go to its step.",
    excerpt: (n) => `The graph has ${counted(n, "node")}. This page holds only what it shows, so `
      + "the values of leaves cannot be changed.",
  },

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
  fit: "Fit the whole graph",
  overview: "Overview of the graph: drag to see another part",
  present: "Present in full screen (f)",
  leave: "Exit the presentation (f)",
  close: "Close",

  count: (position, last) => `step ${position} of ${last}`,
  title: {
    start: () => "Start: the leaves are known",
    forward: (name) => `Forward: ${name}`,
    backward: (name) => `Backward through ${name}`,
  },
  intro: "First, every node is computed from its parents. Then the gradient flows back: each node "
    + "passes its own gradient times the local derivative to each parent, and the parent adds up "
    + "what it receives.",
  alone: "The output is a leaf: its derivative with respect to itself is 1.",
  upstream: "upstream",
  local: "local",
  contribution: "upstream × local",
  gradient: "gradient",
  seed: "starts here",
  more: (n) => `(${n} more to come)`,
  operand: (k) => `as operand ${k + 1}`,
  zero: (name) => `The gradient of ${name} is 0: nothing is passed on.`,
  plain: (name) => `No operand of ${name} takes a gradient: nothing is passed on.`,
  why: {
    domain: "outside the domain",
    zero: "division by zero",
    overflow: "the result is too large for a float",
  },
  inBackward: (call) => `backward of ${call}`,

  chain: (name) => `Chain rule for ${name}`,
  open: (name) => `Show the chain rule for ${name}`,
  trail: "Path from the node that was clicked",
  uses: (count) => count === 1 ? "Its only use contributes upstream × local:"
    : `Each of its ${count} uses contributes upstream × local:`,
  sumOfUses: (count) => `the sum over ${count} uses`,
  paths: (count) => count === 1 ? "Along the only path, without factors of 1:"
    : `As a sum over ${count} paths, without factors of 1:`,
  silent: "nothing is passed on",
  conditions: "A condition in brackets is 1 if it holds, and 0 otherwise.",
  noPath: (from, to) => `No gradient flows from ${from} to ${to}.`,
  constant: "A constant receives no gradient.",
  itself: "This is the output. The backward pass starts here, with a gradient of 1.",

  crumbs: "Open parts",
  everything: "all nodes",
  goTo: (name) => `Show ${name}`,
  openPart: (name) => `Open ${name}`,
  closedPart: (name, n) =>
    `${name} cannot be opened: its ${counted(n, "node")} are too many for a picture`,
  values: (n) => `${n.toLocaleString("en")} values`,
  takes: (from) => `input from ${from}`,
  gives: "output",
  arrives: "upstream",
  handsBack: (to) => `passed to ${to}`,
  trained: (n) => counted(n, "parameter"),
  norm: "gradient norm ",

  leaves: "Leaves",
  reset: "Reset",
  resetLeaves: "Reset all leaves to their recorded values",
  value: (name) => `Value of ${name}`,
  fixed: (why) => `cannot be changed: ${why}`,

  experiments: "Experiment",
  nudge: {
    title: "Nudge a leaf",
    leaf: "Leaf to nudge",
    by: "by h =",
    h: "h, the size of the nudge",
    action: "Nudge",
    back: (leaf, x, gap) => `They differ by ${gap}: the first is the average slope from ${leaf} to `
      + `${leaf} + h, the second the slope at ${leaf}. ${leaf} is back at ${x}.`,
    noH: "Enter a number other than 0 for h.",
    lost: (leaf) => `${leaf} + h rounds to ${leaf}`,
    refused: (problem, always) =>
      `Cannot nudge: ${problem}.${always ? "" : " Choose another h."}`,
  },
  descend: {
    title: "Gradient descent",
    rate: "learning rate",
    action: "Take a step",
    rule: (leaves) => "Each step subtracts learning rate × gradient from "
      + `${leaves.length > 3 ? `${leaves.length} leaves` : leaves.join(", ")}. `
      + "Reset restores all leaves.",
    took: (k, name, from, to, change) => `Step ${k}: ${name} ${change < 0 ? `fell from ${from} to `
      + `${to}.` : change > 0 ? `rose from ${from} to ${to}: the step was too large. Try a smaller `
      + "learning rate." : `went from ${from} to ${to}.`}`,
    line: (name, from, to, k) => `${name} from ${from} to ${to} in ${counted(k, "step")}`,
    noRate: "Enter a learning rate above 0.",
    fixed: "No step can be taken: this page cannot change the parameters.",
    refused: (problem) => `No step was taken: ${problem}. The leaves are unchanged.`,
  },
  weights: {
    title: "Contributions",
    action: "Scale edges by contribution",
    positive: "positive",
    negative: "negative",
    widest: (largest) => `widest edge: magnitude ${largest}`,
    several: "An edge that carries several numbers stays thin.",
  },

  predict: {
    mode: "Predict",
    title: (position) => `Predict step ${position}`,
    asks: {
      forward: (name) => `What is ${name}?`,
      backward: (name, of) =>
        `What is the gradient of ${name} after the backward step through ${of}?`,
    },
    soFar: (n) => `gradient so far: ${counted(n, "more contribution")} to come`,
    check: "Check",
    hint: "Hint",
    show: "Show answer",
    again: "Start over",
    first: (n, all) => `${n} of ${all} on the first try`,
    noNumber: "Type a number, such as -0.25.",
    right: (answer) => `Right: ${answer}.`,
    shown: (answer) => `The answer: ${answer}.`,
    wrong: (guess, why) => `Not ${guess}. ${why || "Try again, or ask for a hint."}`,
    seed: (output) => `Upstream is 1, the derivative of ${output} with respect to itself.`,
    received: (name) => `what ${name} already had`,
    over: "All predicted",
    finished: "You can now explore the whole pass. Change a leaf for a new exercise.",
    none: "There is nothing to predict.",
    problem: (problem) => `There is nothing to predict: ${problem}.`,
    chain: "The chain rule opens once everything has been predicted.",
  },
  missed: {
    digits: "Close: give at least two digits.",
    earlier: (name, before) => `That is only what this step contributes. ${name} already had `
      + `${before} from another use, and contributions add up.`,
    uses: (name, of, n) => `That is one of ${n} contributions: ${of} uses ${name} ${n} times.`,
    nothing: (name) => `That is what ${name} had before. This step adds a contribution to it.`,
    sign: "Check the sign.",
    upstream: (of, upstream) => "That is only the local derivative. Multiply it by the upstream "
      + `gradient, the gradient of ${of}: ${upstream}.`,
    local: (of, name) => "That is only the upstream gradient. Multiply it by the local derivative "
      + `of ${of} with respect to ${name}.`,
    added: "The upstream gradient and the local derivative are multiplied, not added.",
    multiplied: "The contributions of several uses are added, not multiplied.",
    factor: (n) => `The exponent, ${n}, is missing as a factor.`,
    swapped: (other, name) => `That belongs to ${other}. The question is the gradient of ${name}.`,
    value: (of) => `That multiplies by the value of ${of}. Multiply by its local derivative.`,
    data: (name) => `That is the data of ${name}, not a gradient.`,
    order: "The operands are in the wrong order.",
    times: "That multiplies the base by the exponent. A power multiplies the base by itself.",
    operation: (done, right) => `That is what ${done} gives. The operation here is ${right}.`,
    degrees: "The angle is in radians, not in degrees.",
    logarithm: "log is the natural logarithm, not the logarithm to base 10.",
    operand: (name) => `That is only ${name}.`,
  },
};

const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

/** A number, or the sign for one that is unknown or not computed yet. */
function shown(x) {
  if (x instanceof Several) return String(x);
  return x === null ? TEXT.unknown : typeof x === "number" ? number(x) : TEXT[x];
}

/** `log(x = 0): it takes numbers above 0`, as in Python's message. */
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
