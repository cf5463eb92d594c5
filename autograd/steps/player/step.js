// What happens in the current step? Its equation, and what it passes to each parent.

/** The panel beside the picture: what happens in this step, in symbols and in numbers. */
class StepView {
  constructor() {
    this.title = element("h3");
    this.count = span("count");
    this.problem = element("p", { class: "problem", role: "alert" });
    this.body = element("div", { class: "body" });
    const head = element("header", {}, this.title, this.count);
    this.section = element("section", { class: "step" }, head, this.problem, this.body);
  }

  update(now) {
    const { step, pass } = now;
    const { graph } = pass;
    setAttribute(this.section, "class", `step ${step.phase}`);
    // A step belongs to a node or a part; the start has neither.
    const name = step.part ? step.part.name : step.node < 0 ? "" : graph.name(step.node);
    setText(this.title, TEXT.title[step.phase](name));
    setText(this.count, TEXT.count(now.position, graph.steps.length));
    setText(this.problem, pass.problem ? explained(pass) : "");
    this.problem.hidden = !pass.problem;
    this.body.replaceChildren(...(step.part ? step.part.shown(now) : this[step.phase](now)));
    explainConditions(this.body);
  }

  start({ pass }) {
    return [note(pass.graph.steps.length ? TEXT.intro : TEXT.alone)];
  }

  forward(now) {
    const { pass, step } = now;
    const { formula } = pass.graph.nodes[step.node];
    const result = dataNumber(shown(dataAt(now, step.node)));
    return [equation([nameOf(pass.graph, step.node)],
      inSymbols(pass, formula), inNumbers(pass, step.node), [result])];
  }

  backward(now) {
    const { pass, step, b } = now;
    const { graph } = pass;
    const name = graph.name(step.node);
    const { edges } = graph.backward[b];
    const gradient = gradientNumber(shown(gradientAt(now, step.node)));
    const upstream = element("div", { class: "rows" },
      ...this.row(TEXT.upstream, step.node === graph.output ? TEXT.seed : "",
        slope(graph.name(graph.output), name), ...equals(gradient)));
    const silent = b < pass.failedAt && pass.upstream[b] === 0;
    const [before, end] = [now.position - 1, graph.steps.length].map((p) => pass.at(p).received);
    return [equation([nameOf(graph, step.node)], inSymbols(pass, graph.nodes[step.node].formula)),
      upstream,
      ...(!edges.length ? [note(TEXT.plain(name))] : silent ? [note(TEXT.zero(name))]
        : edges.map((edge, k) => this.parent(now, edge, k, before, end)))];
  }

  row(key, remark, ...value) {
    return [span("key", key, " ", span("remark", remark), " "), span("value", ...value, " ")];
  }

  /**
   * One parent: the local derivative, the contribution, and the new total. `before` and `end` tell
   * how many contributions each node has received before this step, and in all.
   */
  parent(now, edge, k, before, end) {
    const { pass, step, b } = now;
    const { graph } = pass;
    const [name, parent, output] = [step.node, edge.parent, graph.output].map((i) => graph.name(i));
    const passed = pass.contributions[b][k];
    const text = (key, digits) => (passed ? number(passed[key], digits) : TEXT.unknown);
    const [product, after] = [text("product"), text("after")];
    const local = shown(localOf(pass, edge));
    const upstream = shown(gradientAt(now, step.node));
    const same = graph.backward[b].edges.filter((other) => other.parent === edge.parent);
    const earlier = before[edge.parent] + same.indexOf(edge);
    const left = end[edge.parent] - earlier - 1;
    const digits = passed ? digitsThatAddUp([passed.before, passed.product], passed.after) : DIGITS;
    const sum = earlier ? [" = ", gradientNumber(text("before", digits)), " + ",
      gradientNumber(grouped(text("product", digits)))] : [];
    return element("div", { class: "rows parent" },
      ...this.row(TEXT.local, same.length > 1 ? TEXT.operand(edge.operand) : "",
        slope(name, parent), ...symbolsAndNumber(pass, edge.symbols, local)),
      ...this.row(TEXT.contribution, "", gradientNumber(upstream), " × ",
        dataNumber(grouped(local)), ...equals(gradientNumber(product))),
      ...this.row(TEXT.gradient, left && passed ? TEXT.more(left) : "",
        slope(output, parent), ...sum, ...equals(gradientNumber(after))));
  }

  /** The step in one line, for a screen reader. */
  spoken() {
    const parts = this.body.querySelectorAll(":scope > :not(.rows), .rows > *");
    return [this.count, this.title, this.problem, ...parts]
      .map((part) => part.textContent.trim()).filter(Boolean).join(". ");
  }
}
