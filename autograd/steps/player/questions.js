// Which numbers can a learner predict, when is a guess right, and what does a wrong one miss?
//
// A question asks for one number of a pass: a node's data in a forward step; in a backward step the
// gradient that a parent has after it. This file knows nothing about what the page looks like.

/** All questions of a pass, in the order of its steps; none if it has an error. */
function questionsOf(pass) {
  const { graph } = pass;
  const received = new Int32Array(graph.size);
  const total = pass.at(graph.steps.length).received;
  const found = graph.steps.flatMap(({ phase, node }, k) => {
    const position = k + 1; // of the step that shows the answer
    if (phase === "forward") {
      return [{ position, phase, node, asked: node, value: pass.values[node] }];
    }
    const passed = pass.contributions[k - graph.forwardSteps];
    return [...new Set(passed.map(({ edge }) => edge.parent))].map((asked) => {
      const parts = passed.filter(({ edge }) => edge.parent === asked);
      const others = passed.filter(({ edge }) => edge.parent !== asked);
      const earlier = received[asked];
      received[asked] += parts.length;
      return { position, phase, node, asked, parts, others, earlier, before: parts[0].before,
        upstream: pass.upstream[k - graph.forwardSteps], value: parts[parts.length - 1].after,
        left: total[asked] - received[asked] };
    });
  });
  return pass.problem ? [] : found.filter(({ value }) => Number.isFinite(value));
}

// --- right ---------------------------------------------------------------------------------------

const NUMBER = /^[-+]?(\d*)(?:\.(\d*))?(?:e([-+]?\d+))?$/i;
const NOTHING = 1e-12; // what rounding leaves of a zero

/** A typed number, its count of significant digits and the size of the last; null if none. */
function typedNumber(text) {
  const plain = text.trim().replace(/[\u2212\u2013]/g, "-").replace(",", ".");
  const found = NUMBER.exec(plain);
  if (!found || !(found[1] || found[2])) return null;
  const [, whole, part = "", exponent = "0"] = found;
  const unit = 10 ** (Number(exponent) - part.length);
  return { guess: Number(plain), digits: (whole + part).replace(/^0+/, "").length, unit };
}

/** Whether a number rounds to the digits that were typed; false if these overflow, as 12e400. */
const rounds = ({ guess, unit }, x) =>
  Number.isFinite(guess) && Math.abs(guess - x) <= 0.5 * unit * (1 + 1e-9);

/** Whether a guess is this number: rounded to two digits or more, or within 1 %. */
function agrees(typed, x) {
  const { guess, digits } = typed;
  const small = Math.abs(guess) < NOTHING && Math.abs(x) < NOTHING;
  return small || Math.abs(guess - x) <= 0.01 * Math.abs(x) || (digits >= 2 && rounds(typed, x));
}

// --- and wrong -----------------------------------------------------------------------------------

/** What a wrong guess missed, in words, if its number is the result of a known mistake. */
function missed(pass, question, typed) {
  const mistakes = question.phase === "forward" ? forwardMistakes : backwardMistakes;
  const found = mistakes(pass, question).find(([x]) => Number.isFinite(x) && agrees(typed, x));
  if (found) return found[1];
  return typed.digits && rounds(typed, question.value) ? TEXT.missed.digits : null;
}

/** The results of known mistakes in a backward step, each with what to say about it. */
function backwardMistakes(pass, question) {
  const { graph, values } = pass;
  const { node, asked, parts, others, earlier, before, upstream, value } = question;
  const [name, of] = [graph.name(asked), graph.name(node)];
  const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);
  const total = sum(parts.map(({ product }) => product));
  const locals = sum(parts.map(({ local }) => local));
  const said = TEXT.missed;
  /** A wrong contribution, added to the earlier sum, or with that forgotten as well. */
  const both = (x, text) => [[before + x, text], ...(earlier ? [[x, text]] : [])];
  const uses = parts.length > 1
    ? parts.flatMap(({ product }) => both(product, said.uses(name, of, parts.length))) : [];
  return [
    ...(earlier ? [[total, said.earlier(name, number(before))]] : []),
    ...uses,
    ...(earlier ? [[before, said.nothing(name)]] : []),
    [-value, said.sign],
    ...both(-total, said.sign),
    ...both(locals, said.upstream(of, number(upstream))),
    ...both(upstream, said.local(of, name)),
    ...both(upstream + locals, said.added),
    ...(earlier ? [[before * total, said.multiplied]] : []),
    ...both(total / exponentOf(pass, node), said.factor(number(exponentOf(pass, node)))),
    ...others.flatMap(({ edge, product, local }) => {
      const text = said.swapped(graph.name(edge.parent), name);
      return [...both(product, text), ...both(local, text)];
    }),
    [values[asked], said.data(name)],
    [values[node], said.data(of)],
    ...both(upstream * values[node], said.value(of)),
  ];
}

/** n for a power x ** n with a fixed n; nan for anything else. */
function exponentOf({ graph, values }, i) {
  const { op, parents } = graph.nodes[i];
  const fixed = op === "pow" && graph.nodes[parents[1]].kind === "constant";
  return fixed ? values[parents[1]] : NaN;
}

const SIGNS = { add: "+", sub: "-", mul: "×", div: "/" };

/** The same for a forward step. */
function forwardMistakes(pass, { node, value }) {
  const { graph, values } = pass;
  const { op, parents } = graph.nodes[node];
  const numbers = parents.map((j) => values[j]);
  const [a, b] = numbers;
  const said = TEXT.missed;
  const result = (name, ...operands) => {
    let found = NaN;
    raised(() => (found = OPERATIONS[name](...operands)));
    return found;
  };
  const mistakes = [[-value, said.sign]];
  if (numbers.length === 2 && op in OPERATIONS) {
    mistakes.unshift([result(op, b, a), said.order]);
    if (op === "pow" || op === "power") mistakes.push([a * b, said.times]);
    for (const [other, sign] of Object.entries(op in SIGNS ? SIGNS : {})) {
      mistakes.push([result(other, a, b), said.operation(sign, SIGNS[op])]);
    }
  }
  if (op === "sin" || op === "cos") mistakes.push([result(op, (a * Math.PI) / 180), said.degrees]);
  if (op === "log") mistakes.push([result(op, a) / Math.LN10, said.logarithm]);
  const operands = parents.map((j, k) => [numbers[k], said.operand(graph.name(j))]);
  return [...mistakes, ...operands];
}
