// What does gradient descent do to the output? One step at a time, and a line chart of the outputs.

const movableLeaves = (graph) => graph.leaves.filter((i) => graph.nodes[i].movable);

/** The movable leaves that a step changes: the parameters, or all leaves if there are none. */
function descending(graph) {
  const movable = movableLeaves(graph);
  const parameters = movable.filter((i) => graph.nodes[i].kind === "parameter");
  const some = graph.leaves.some((i) => graph.nodes[i].kind === "parameter");
  return some ? parameters : movable;
}

/** The result of a step as [leaf, number] pairs: Python's `p.data -= rate * p.grad`. */
function gradientStep(pass, rate) {
  const { graph, values } = pass;
  const finished = pass.at(graph.steps.length);
  return descending(graph).map((i) => [i, values[i] - rate * gradientAt(finished, i)]);
}

/** The part of the page that takes gradient steps and draws how the output falls. */
class DescendView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.history = []; // the output before the first step and after each
    this.rate = numberField(TEXT.descend.rate, () => this.run());
    this.rate.value = "0.1";
    this.result = element("p", { class: "result" });
    this.ends = [0, 1].map(() => span("number data"));
    this.line = element("svg:polyline");
    this.picture = element("svg:svg", { role: "img", viewBox: "0 0 100 40",
      preserveAspectRatio: "none" }, this.line);
    this.falls = element("div", { class: "falls" }, this.ends[0], this.picture, this.ends[1]);
    // The button of the list of leaves is hidden in presentations, and if the view has no leaf.
    this.reset = worded(TEXT.reset, actions.reset);
    this.reset.title = TEXT.resetLeaves;
    const whom = descending(graph).map((i) => graph.name(i));
    const rule = whom.length ? TEXT.descend.rule(whom) : TEXT.descend.fixed;
    this.part = experiment(TEXT.descend.title, [
      element("label", {}, span("key", TEXT.descend.rate), " ", this.rate),
      worded(TEXT.descend.action, () => this.run()), this.reset,
    ], note(rule), this.result, this.falls);
  }

  /** The line shows consecutive steps: any other change starts a new one. */
  update(pass) {
    if (this.pass === pass) return;
    this.pass = pass;
    enable(this.reset, pass.moved);
    this.history = [pass.values[this.graph.output]];
    this.say("");
    this.draw();
  }

  run() {
    const rate = this.rate.valueAsNumber;
    if (!descending(this.graph).length) return this.say(TEXT.descend.fixed);
    if (!(rate > 0 && rate < Infinity)) return this.say(TEXT.descend.noRate);
    const { pass, history, actions, graph } = this;
    if (pass.problem) return this.say(TEXT.descend.refused(explained(pass)));
    const moves = gradientStep(pass, rate);
    const tried = new Pass(graph, new Map([...actions.moved(), ...moves]));
    if (tried.problem) return this.say(TEXT.descend.refused(explained(tried)));
    actions.move(moves); // calls `update`
    this.history = [...history, this.pass.values[graph.output]];
    this.draw();
    const [before, after] = this.history.slice(-2);
    const [from, to] = [before, after].map((x) => number(x, digitsToTell(before, after)));
    const name = graph.name(graph.output);
    this.say(TEXT.descend.took(this.history.length - 1, name, from, to, after - before));
  }

  say(text) {
    setText(this.result, text);
    if (text) this.actions.say(text);
  }

  draw() {
    const { history } = this;
    this.falls.hidden = history.length < 2;
    if (this.falls.hidden) return;
    const halves = history.filter(Number.isFinite).map((x) => x / 2); // 1e308 - -1e308 overflows
    const [low, high] = [Math.min(...halves), Math.max(...halves)];
    const across = (k) => (100 * k) / (history.length - 1);
    const down = (x) => (high > low ? 36 - 32 * ((x / 2 - low) / (high - low)) : 20);
    const points = history.map((x, k) => `${across(k)},${down(x)}`);
    const drawn = points.filter((_, k) => Number.isFinite(history[k]));
    setAttribute(this.line, "points", drawn.join(" "));
    const ends = [history[0], history[history.length - 1]].map((x) => number(x));
    ends.forEach((text, k) => setText(this.ends[k], text));
    const name = this.graph.name(this.graph.output);
    setAttribute(this.picture, "aria-label", TEXT.descend.line(name, ...ends, history.length - 1));
  }
}
