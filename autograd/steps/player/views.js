// Which views does a graph have, and how do you get from one to another? A path of open parts.

/** The line below the picture: what the boxes of a view are, and what can be done with them. */
class Caption {
  constructor() {
    this.legend = span("legend");
    this.hint = span("hint");
    this.part = element("p", { class: "caption" }, this.legend, this.hint);
  }

  update(view, hiding) {
    if (this.view === view && this.hiding === hiding) return;
    Object.assign(this, { view, hiding });
    const kinds = new Set(view.seen.nodes.map(({ kind }) => kind));
    const shown = Object.entries(TEXT.kinds).filter(([kind]) => kinds.has(kind));
    this.legend.replaceChildren(...shown.map(([kind, text]) => span(`kind ${kind}`, text)));
    setText(this.hint, this.hints(view, hiding).join(" "));
  }

  hints({ boxes = [], graph, seen }, hiding) {
    const { open, drag, chain, step, excerpt } = TEXT.hints;
    const nodes = !boxes.length || boxes.some(({ sums, kind }) => !sums && kind !== "constant");
    return [
      ...(boxes.some(({ opens }) => opens >= 0) ? [open] : []),
      ...(seen.nodes.some(({ movable }) => movable) ? [drag] : []),
      ...(nodes && !hiding ? [graph.excerpt ? step : chain] : []),
      ...(graph.excerpt ? [excerpt(graph.excerpt)] : []),
    ];
  }
}

/** The views of a graph: with everything open, or with one part open; made when first shown. */
class Views {
  constructor(graph, pictures, folds, show) {
    this.graph = graph;
    this.folds = folds;
    this.show = show;
    this.whole = pictures.length ? new Whole(graph, pictures) : null;
    this.groups = folds.groups.map((recorded) => new Group(graph, recorded));
    this.made = new Map();
    this.crumbs = element("nav", { class: "crumbs", "aria-label": TEXT.crumbs });
  }

  /** View k; -1 is the one with everything open. */
  at(k) {
    if (k < 0) return this.whole;
    if (!this.made.has(k)) {
      this.made.set(k, new Boxes(this.graph, this.folds, k, this.groups, this.show));
    }
    return this.made.get(k);
  }

  /** The position in one view that corresponds to a position in another. */
  moved(from, to, position) {
    const { steps } = to.graph;
    if (position === 0) return 0;
    const { phase, node, box } = from.graph.steps[position - 1];
    if (from !== to && to !== this.whole && this.path(to).includes(from.place)) {
      // Going inwards: start with a step inside the opened part.
      const inside = (step) => step.phase === phase && to.boxes[step.box].inside;
      const found = phase === "forward" ? steps.findIndex(inside) : steps.findLastIndex(inside);
      if (found >= 0) return found + 1;
    }
    if (position === from.graph.steps.length) return steps.length;
    const nodes = node < 0 ? from.boxes[box].members : [node];
    const boxes = new Set(nodes.map((i) => to.boxOf(i)));
    const same = steps.findIndex((step) => step.phase === phase && boxes.has(step.box));
    return 1 + (same < 0 ? steps.findIndex((step) => step.phase === phase) : same);
  }

  /** The places of a view and of those around it, outermost first. */
  path(view) {
    const { views } = this.folds;
    const path = [];
    for (let k = view === this.whole ? 0 : view.place; k >= 0; k = views[k].outer) path.unshift(k);
    return path;
  }

  /** Show the path to the current view. */
  update(view) {
    const { views } = this.folds;
    if (!views.length) return;
    const parts = this.path(view).map((k) => this.crumb(views[k].name, k, view.place === k));
    if (this.whole) parts.push(this.crumb(TEXT.everything, -1, view === this.whole));
    this.crumbs.replaceChildren(...parts);
  }

  crumb(name, k, here) {
    const attributes = { type: "button", class: k < 0 ? "crumb all" : "crumb",
      title: TEXT.goTo(name), ...(here ? { "aria-current": "page" } : {}) };
    return element("button", { ...attributes, click: () => this.show(k) }, name);
  }
}
