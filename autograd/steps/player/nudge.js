// What does the output do when a leaf moves a little? The difference quotient beside the gradient.

/** The initial h for a number: about a thousandth of it, as a power of ten. */
function smallPart(x) {
  const size = Math.abs(x);
  if (!(size > 0 && size < Infinity)) return 0.001;
  return Number(`1e${Math.floor(Math.log10(size)) - 3}`) || Number.MIN_VALUE;
}

/** How many digits show at least DIGITS of the difference between two numbers. */
function digitsToTell(a, b) {
  const [gap, size] = [Math.abs(a - b), Math.max(Math.abs(a), Math.abs(b))];
  if (!(gap > 0 && gap < Infinity)) return DIGITS;
  return Math.min(DIGITS + Math.ceil(Math.log10(size / gap)), 17);
}

/**
 * The output before and after a leaf is moved by h, their difference quotient, and the gradient of
 * the leaf; only a `problem` if Python would raise, `always` or for this h, or if h is lost in the
 * rounding of the leaf.
 * The pass itself does not change.
 */
function nudge(pass, moved, leaf, h) {
  const { graph, values } = pass;
  if (values[leaf] + h === values[leaf]) return { problem: TEXT.nudge.lost(graph.name(leaf)) };
  // The page computes both: the libraries of Python and of the browser may differ in the last
  // digits, which a small h would magnify.
  const run = (x) => new Pass(graph, new Map([...moved, [leaf, x]]));
  const runs = [run(values[leaf]), run(values[leaf] + h)];
  const failed = runs.find(({ problem }) => problem && !problem.backward);
  if (failed) return { problem: explained(failed), always: failed === runs[0] };
  const [before, after] = runs.map((run) => run.values[graph.output]);
  const gradient = gradientAt(pass.at(graph.steps.length), leaf);
  return { problem: null, before, after, quotient: (after - before) / h, gradient };
}

/** The part of the page that nudges a leaf and shows the result. */
class NudgeView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    const options = movableLeaves(graph).map((i) => element("option", { value: i }, graph.name(i)));
    this.choice = element("select", { "aria-label": TEXT.nudge.leaf, change: () => this.choose() },
      ...options);
    this.field = numberField(TEXT.nudge.h, () => this.run());
    this.result = element("div", { class: "result" });
    this.part = experiment(TEXT.nudge.title, [this.choice,
      element("label", {}, span("key", TEXT.nudge.by), " ", this.field),
      worded(TEXT.nudge.action, () => this.run())], this.result);
  }

  get leaf() {
    return Number(this.choice.value);
  }

  choose() {
    this.field.value = String(smallPart(this.pass.values[this.leaf]));
    this.result.replaceChildren();
  }

  update(pass) {
    if (this.pass === pass) return;
    const first = !this.pass;
    this.pass = pass;
    if (first) this.choose();
    this.result.replaceChildren(); // it was about other numbers
  }

  run() {
    const h = this.field.valueAsNumber;
    const found = h && nudge(this.pass, this.actions.moved(), this.leaf, h);
    const parts = found ? this.written(found, h) : [note(TEXT.nudge.noH)];
    this.result.replaceChildren(...parts);
    this.actions.say(parts.map((part) => part.textContent).join(". "));
  }

  written({ problem, always, before, after, quotient, gradient }, h) {
    const { graph, leaf, pass } = this;
    const name = graph.name(leaf);
    if (problem) return [note(TEXT.nudge.refused(problem, always))];
    const digits = digitsToTell(before, after);
    const [from, to] = [before, after].map((x) => number(x, digits));
    const [of, by] = [graph.output, leaf].map((i) => () => nameOf(graph, i));
    const formula = element("p", {}, "(", of(), "(", by(), " + h) - ", of(), "(", by(), ")) / h = (",
      dataNumber(to), " - ", dataNumber(grouped(from)), ") / ", dataNumber(grouped(String(h))),
      " = ", span("number quotient", number(quotient)));
    const beside = element("p", {}, slope(graph.name(graph.output), name), " = ",
      gradientNumber(shown(gradient)));
    const gap = typeof gradient === "number" ? number(Math.abs(quotient - gradient)) : TEXT.unknown;
    return [formula, beside, note(TEXT.nudge.back(name, number(pass.values[leaf]), gap))];
  }
}
