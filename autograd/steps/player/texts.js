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
    leaf: "leaf", parameter: "parameter", constant: "fixed number", inner: "operation",
    output: "output", module: "closed module",
  },
  hints: {
    open: "Click a module to open it.",
    drag: "Drag a leaf sideways to change its value (Shift: finer).",
    chain: "Click a node for its chain rule.",
    step: "Click a node to go to its step.",
    excerpt: (n) =>
      `This page holds only what it shows of ${counted(n, "node")}: leaves cannot be moved.`,
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
  plain: (name) => `No operand of ${name} takes a gradient: nothing is passed on.`,
  why: {
    domain: "outside the domain",
    zero: "division by zero",
    overflow: "the result is too large for a float",
  },
  inBackward: (call) => `backward of ${call}`,

  chain: (name) => `Chain rule of ${name}`,
  open: (name) => `Chain rule of ${name}, in turn`,
  trail: "From the node that was clicked",
  uses: (count) => count === 1 ? "Its only use: gradient × local derivative"
    : `Its ${count} uses: gradient × local derivative`,
  sumOfUses: (count) => `the sum over ${count} uses`,
  paths: (count) => count === 1 ? "Along the only path, without factors of 1"
    : `Along the ${count} paths, without factors of 1`,
  silent: "nothing is passed on",
  noPath: (from, to) => `No derivative leads from ${from} to ${to}.`,
  constant: "A plain number receives no gradient.",
  itself: "The output itself: the gradient begins here, as 1.",

  crumbs: "Open parts",
  everything: "everything",
  goTo: (name) => `Show ${name}`,
  openPart: (name) => `Open ${name}`,
  closedPart: (name, n) =>
    `${name} cannot be opened: its ${counted(n, "node")} are too many for a picture`,
  values: (n) => `${n.toLocaleString("en")} values`,
  takes: (from) => `from ${from}`,
  gives: "gives",
  arrives: "gradient",
  handsBack: (to) => `to ${to}`,
  trained: (n) => counted(n, "parameter"),
  norm: "length of their gradient ",

  leaves: "Leaves",
  reset: "Reset",
  resetLeaves: "Reset all leaves to their recorded values",
  value: (name) => `Value of ${name}`,
  fixed: (why) => `cannot be moved: ${why}`,

  experiments: "Experiment",
  nudge: {
    title: "Nudge a leaf",
    leaf: "Leaf to nudge",
    by: "by h =",
    h: "h, by which the leaf is nudged",
    action: "Nudge",
    back: (leaf, x, gap) => `They differ by ${gap}: the first is the mean slope over h. `
      + `${leaf} is back at ${x}, and nothing else has changed.`,
    noH: "h is a number other than 0.",
    lost: (leaf) => `${leaf} + h rounds to ${leaf}`,
    refused: (problem) => `Nudge refused: ${problem}. Choose another h.`,
  },
  descend: {
    title: "Gradient descent",
    rate: "rate",
    action: "Take a step",
    rule: (leaves) => "A step subtracts rate × gradient from "
      + `${leaves.length > 3 ? `${leaves.length} leaves` : leaves.join(", ")}. `
      + "Reset takes all steps back.",
    took: (k, name, from, to, change) => `Step ${k}: ${name} ${change < 0 ? `fell from ${from} to `
      + `${to}.` : change > 0 ? `rose from ${from} to ${to}: the step was too long. Try a smaller `
      + "rate." : `went from ${from} to ${to}.`}`,
    line: (name, from, to, k) =>
      `${name} from ${from} to ${to} in ${k === 1 ? "1 step" : `${k} steps`}`,
    noRate: "The rate is a number above 0.",
    fixed: "No step can be taken: the page cannot move the parameters.",
    refused: (problem) => `Step refused: ${problem}. The leaves stay as they are.`,
  },
  weights: {
    title: "Contributions",
    action: "Edges by contribution",
    positive: "above 0",
    negative: "below 0",
    widest: (largest) => `widest: ${largest} in size`,
    several: "An edge that carries several numbers stays thin.",
  },

  predict: {
    mode: "Predict",
    title: (position) => `Predict step ${position}`,
    asks: {
      forward: (name) => `What is ${name}?`,
      backward: (name, of) => `What is the gradient of ${name} after the step back through ${of}?`,
    },
    soFar: (n) => `so far: ${n} more to come`,
    check: "Check",
    hint: "Hint",
    show: "Show it",
    again: "Start over",
    first: (n, all) => `${n} of ${all} at first try`,
    noNumber: "Type a number, such as -0.25.",
    right: (answer) => `Right: ${answer}.`,
    shown: (answer) => `It is ${answer}.`,
    wrong: (guess, why) => `Not ${guess}. ${why || "Try again, or ask for a hint."}`,
    seed: (output) => `Upstream is 1, the gradient of ${output} by itself.`,
    received: (name) => `what ${name} had`,
    over: "All predicted",
    finished: "The whole pass is open now. Other numbers of the leaves make a new exercise.",
    none: "There is nothing to predict.",
    problem: (problem) => `There is nothing to predict: ${problem}.`,
    chain: "The chain rule opens when all is predicted.",
  },
  missed: {
    digits: "Nearly: give two digits or more.",
    earlier: (name, before) => `That is what this step hands over. ${name} already had ${before} `
      + "from another use, and the contributions add up.",
    uses: (name, of, n) => `That is one use. ${of} uses ${name} ${n} times, and each contributes.`,
    nothing: (name) => `That is what ${name} had before. This step adds a contribution to it.`,
    sign: "Look at the sign.",
    upstream: (of, upstream) => `That is the local derivative alone. Multiply it by the upstream `
      + `gradient, that of ${of}: ${upstream}.`,
    local: (of, name) => `That is the upstream gradient alone. Multiply it by the local derivative `
      + `of ${of} by ${name}.`,
    added: "Upstream and local derivative are multiplied, not added.",
    multiplied: "The contributions of several uses are added, not multiplied.",
    factor: (n) => `The exponent is missing as a factor: ${n}.`,
    swapped: (other, name) => `That belongs to ${other}; the gradient of ${name} is asked for.`,
    value: (of) => `That multiplies by the value of ${of}. Multiply by its derivative.`,
    data: (name) => `That is the data of ${name}, not a gradient.`,
    order: "The operands are in the wrong order.",
    times: "That multiplies base and exponent. A power multiplies the base by itself.",
    operation: (done, right) => `That is what ${done} gives. Here the operation is ${right}.`,
    degrees: "The angle is in radians, not in degrees.",
    logarithm: "It is the natural logarithm, not the one to base 10.",
    operand: (name) => `That is ${name} alone.`,
  },
};

const counted = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

/** A number, or what stands for one that is unknown or still to come. */
function shown(x) {
  if (x instanceof Several) return String(x);
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
