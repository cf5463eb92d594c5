// What can be tried out on a pass? Nudge a leaf, descend, draw edges by what flows along them.

const WIDEST = 5; // the stroke of the largest contribution, in units of the drawing

/** A field for a number of any size; Enter runs its experiment. */
function numberField(label, run) {
  return element("input", { type: "number", step: "any", "aria-label": label,
    keydown: (event) => event.key === "Enter" && run() });
}

/** One of the experiments: its title, a row of controls, and the results. */
function experiment(title, fields, ...results) {
  return element("div", { class: "experiment", role: "group", "aria-label": title },
    element("h3", {}, title), element("div", { class: "fields" }, ...fields), ...results);
}

/** Draw the edges as thick as their contributions so far, or as usual; returns the largest one. */
function weigh(picture, now, on) {
  const sizes = now.pass.contributions.flat().map(({ product }) => Math.abs(product));
  const largest = sizes.reduce((most, size) => (size > most ? size : most), 0);
  now.pass.contributions.forEach((passed, b) => {
    const { node, edges } = now.pass.graph.backward[b];
    edges.forEach((edge) => {
      const contribution = on && b <= now.b && passed.find((one) => one.edge === edge);
      const product = contribution ? contribution.product : 0;
      const { group } = picture.edges[node][edge.operand];
      const share = Math.abs(product) === largest ? 1 : Math.abs(product) / largest;
      group.style.setProperty("--width", 1 + (WIDEST - 1) * share);
      if (product) group.dataset.sign = product > 0 ? "positive" : "negative";
      else delete group.dataset.sign;
    });
  });
  return largest;
}

/** The panel of the experiments, hidden at first, and the button that opens it. */
class ExperimentsView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.views = []; // made when the panel is first opened
    this.open = false;
    this.toggle = worded(TEXT.experiments, () => {
      this.open = !this.open;
      if (!this.section.hasChildNodes()) this.build();
      actions.render();
    });
    this.weighed = false; // whether edges are as thick as their contributions
    this.weights = worded(TEXT.weights.action, () => {
      this.weighed = !this.weighed;
      actions.render();
    });
    this.legend = note("");
    this.section = element("section", { class: "experiments", "aria-label": TEXT.experiments });
  }

  build() {
    const { graph, actions } = this;
    const usable = movableLeaves(graph).length > 0;
    if (usable) this.views = [new NudgeView(graph, actions), new DescendView(graph, actions)];
    this.section.append(...this.views.map(({ part }) => part),
      experiment(TEXT.weights.title, [this.weights], this.legend));
  }

  /** Show a pass, or nothing while its numbers are to be predicted. */
  update(pass, hidden) {
    this.toggle.hidden = hidden;
    setAttribute(this.toggle, "aria-expanded", String(this.open));
    this.section.hidden = hidden || !this.open;
    setAttribute(this.weights, "aria-pressed", String(this.weighed));
    for (const view of this.views) view.update(pass);
  }

  /** Draw the edges of the picture, whose nodes may be boxes, scaled or as usual. */
  mark(picture, now, hidden, folded) {
    const on = this.weighed && !hidden;
    this.legend.hidden = !on;
    if (!on && !this.drawn) return; // the usual case
    this.drawn = on;
    const largest = weigh(picture, now, on);
    this.legend.replaceChildren(span("swatch positive", TEXT.weights.positive), " ",
      span("swatch negative", TEXT.weights.negative), " ", TEXT.weights.widest(number(largest)),
      ...(folded ? [element("br"), TEXT.weights.several] : []));
  }
}
