// How does a recorded pass become something to play with?
//
// Python puts the other scripts before this file, wraps everything in one function so that no name
// escapes, and calls `mount(id)`. Every element with that id holds a recording and gets a player in
// a shadow root of its own. For tests, each has a property `player` whose only function, `state()`,
// returns a copy of what is shown, in exact numbers.

// --- the player ----------------------------------------------------------------------------------

const SPEEDS = [0.5, 1, 2, 4, 10];
const PAUSE = 1400; // milliseconds for which a step is shown at speed 1
const COMFORTABLE = 1.5; // screen pixels per unit of the picture, if there is room

class Player {
  constructor(host, { steps, pictures, folds, css, predict }) {
    this.host = host;
    this.graph = new Graph(steps);
    this.graph.excerpt = folds.size || 0; // the size of the whole graph, if larger
    this.leaves = new Map(); // the leaves that were moved: node -> number
    this.pass = new Pass(this.graph, this.leaves);
    this.speed = 1;
    this.timer = 0;
    const actions = {
      select: (i, trail) => this.select(i, trail),
      light: (edges) => this.light(edges),
      value: (i) => this.pass.values[i],
      set: (i, x) => this.move([[i, x]]),
      drag: (i, from, dx, finely) => {
        const unit = reach(from) / TICKS / (finely ? 10 : 1);
        actions.set(i, moved(from, dx * unit, unit));
      },
      reset: () => this.recompute(() => this.leaves.clear()),
      moved: () => this.leaves,
      move: (moves) => this.move(moves),
      say: (text) => setText(this.said, text),
      jump: (position) => this.jump(position),
      follow: (i) => this.picture.view.follow(i),
      render: () => this.render(),
      mark: (now) => {
        this.predictView.mark(this.picture);
        const folded = this.view !== this.views.whole;
        this.experimentsView.mark(this.picture, now, this.predictView.hiding, folded);
      },
    };
    this.picture = new Picture(this.boxActions(actions));
    this.views = new Views(this.graph, pictures, folds, (k) => this.show(k));
    this.view = this.views.at(folds.start);
    this.position = this.view.graph.steps.length; // a finished pass shows what there is to explain
    this.stepView = new StepView();
    this.chainView = new ChainView(this.graph, actions);
    this.leavesView = new LeavesView(this.graph, actions);
    this.experimentsView = new ExperimentsView(this.graph, actions);
    this.predictView = new PredictView(this.graph, actions, predict);
    this.caption = new Caption();
    this.said = element("div", { class: "hidden", "aria-live": "polite" });
    this.root = element("div", { class: "player", role: "group", tabindex: "0",
      "aria-label": TEXT.player(this.graph.name(this.graph.output)),
      keydown: (event) => this.key(event), copy: (event) => this.copy(event),
      pointerover: (event) => this.point(event), pointerout: () => this.picture.point() },
    element("div", { class: "head" },
      element("h2", { title: steps.title, class: folds.views.length ? "hidden" : "" }, steps.title),
      this.views.crumbs, this.tools()),
    this.controls(), element("div", { class: "view" }, this.picture.stage),
    element("div", { class: "side" },
      element("div", { class: "panel" }, this.predictView.section, this.experimentsView.section,
        this.chainView.section, this.stepView.section),
      this.leavesView.section),
    this.caption.part, this.said);
    this.open(this.view);
    this.render();
    host.attachShadow({ mode: "open" }).append(element("style", {}, css), this.root);
    // Alone on its page the player gets all keys, in a notebook only those typed while focused.
    if (host.hasAttribute("data-alone")) {
      document.addEventListener("keydown", (event) => {
        if (event.target === document.body) this.key(event);
      });
    }
    host.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab leaves our keys to us
    host.setAttribute("data-prevent-swipe", ""); // reveal.js turns no slide when a leaf is dragged
    Object.defineProperty(host, "player", { value: Object.freeze({ state: () => this.state() }) });
    const follow = themeFollower(host, (dark) => this.root.classList.toggle("dark", dark));
    new ResizeObserver(([{ contentRect }]) => {
      follow(); // also when the player comes back into the page
      this.picture.resized(contentRect);
    }).observe(this.picture.stage);
  }

  /** The actions for the picture, which identifies nodes by the boxes of the current view. */
  boxActions(actions) {
    return {
      ...actions,
      select: (b) => this.click(b),
      value: (b) => actions.value(this.view.nodeOf(b)),
      drag: (b, ...rest) => actions.drag(this.view.nodeOf(b), ...rest),
    };
  }

  controls() {
    const press = (action) => (event) => {
      action();
      if (event.detail) this.root.focus({ preventScroll: true }); // after a click, keys are ours
    };
    this.buttons = {
      first: button("first", press(() => this.jump(0))),
      back: button("back", press(() => this.jump(this.position - 1))),
      play: button("play", press(() => this.toggle())),
      next: button("next", press(() => this.jump(this.position + 1))),
      last: button("last", press(() => this.jump(Infinity))),
    };
    this.slider = element("input", { type: "range", class: "steps", min: 0, step: 1,
      "aria-label": TEXT.slider, input: () => this.jump(this.slider.valueAsNumber) });
    const options = SPEEDS.map((speed) => element("option", { value: speed }, `${speed}×`));
    this.speeds = element("select", { "aria-label": TEXT.speed, title: TEXT.speed,
      change: () => (this.speed = Number(this.speeds.value)) }, ...options);
    this.speeds.value = "1";
    const buttons = Object.values(this.buttons);
    const position = element("div", { class: "position" }, ...buttons, this.slider);
    this.predictView.toggle.hidden = !this.views.whole; // it asks for every node
    const modes = element("div", { class: "modes" }, this.speeds,
      this.experimentsView.toggle, this.predictView.toggle);
    return element("div", { class: "controls" }, position, modes);
  }

  tools() {
    const { view } = this.picture;
    this.presentButton = button("present", () => this.presenter.toggle());
    this.presenter = new Presenter(this.host, (on) => {
      rename(this.presentButton, on ? "leave" : "present");
      view.present(on);
      this.root.focus({ preventScroll: true });
    });
    return element("div", { class: "tools" },
      button("zoomOut", () => view.zoom(1 / 1.4)), button("zoomIn", () => view.zoom(1.4)),
      button("fit", () => {
        view.chosen = true;
        view.fit();
      }),
      this.presentButton);
  }

  // What the player does.

  /** The last position or, while numbers are to be predicted, the last that may be seen. */
  get last() {
    return Math.min(this.predictView.limit(this.pass), this.view.graph.steps.length);
  }

  go(position) {
    this.position = clamped(position, 0, this.last);
    this.render();
    if (!this.timer || this.speed <= 1) setText(this.said, this.stepView.spoken());
  }

  jump(position) {
    this.stop();
    this.go(position);
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return this.render();
    }
    if (!this.last) return; // nothing to play
    const again = this.position === this.last;
    this.timer = setTimeout(() => this.tick(), PAUSE / this.speed / 2);
    this.go(again ? 0 : this.position);
  }

  tick() {
    const over = !this.host.isConnected || this.position + 1 >= this.last;
    this.timer = over ? 0 : setTimeout(() => this.tick(), PAUSE / this.speed);
    this.go(this.position + 1);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }

  move(moves) {
    this.recompute(() => moves.forEach(([i, x]) => {
      const back = Object.is(x, this.graph.values[i]);
      return back ? this.leaves.delete(i) : this.leaves.set(i, x);
    }));
  }

  recompute(change) {
    change();
    this.pass = new Pass(this.graph, this.leaves);
    this.render();
    const { output } = this.graph;
    const result = dataAt(this.view.at(this.pass, this.position), output);
    const known = typeof result === "number";
    setText(this.said, known ? `${this.graph.name(output)} = ${number(result)}` : "");
  }

  /** What box b of the picture does when it is clicked. */
  click(b) {
    const i = this.view.nodeOf(b);
    if (i >= 0 && !this.graph.excerpt) return this.select(i);
    const { opens = -1 } = i < 0 ? this.view.boxes[b] : {};
    if (opens >= 0) return this.show(opens);
    const { graph, seen } = this.view;
    const own = graph.steps.findLastIndex(({ box }) => box === b);
    if (own >= 0) return this.jump(own + 1);
    // A leaf has no step of its own: go to the one that completes its gradient.
    const receives = seen.nodes[b].kind !== "constant" && seen.completeAt[b] >= 0;
    if (receives) this.jump(graph.forwardSteps + seen.completeAt[b] + 1);
  }

  /** Open another part, or everything (-1), at the same step if possible. */
  show(k) {
    const before = this.view;
    this.view = this.views.at(k);
    this.position = this.views.moved(before, this.view, this.position);
    this.open(this.view);
    this.stop();
    this.render();
    this.root.focus({ preventScroll: true });
  }

  /** Show the picture and the leaves of a view. */
  open(view) {
    this.picture.show(view.sources, view.seen);
    const tallest = Math.max(...this.picture.layouts.map(({ box }) => box.height));
    this.root.style.setProperty("--drawn", `${Math.round(COMFORTABLE * tallest + 2 * MARGIN)}px`);
    this.leavesView.list(view.leaves);
    this.views.update(view);
  }

  light(edges) {
    const now = this.view.at(this.pass, this.position);
    this.picture.update(this.view.pictured(now), this.view.lit(edges));
  }

  select(i, trail) {
    if (i >= 0 && this.predictView.hiding) return setText(this.said, TEXT.predict.chain);
    const before = this.chainView.node;
    this.chainView.select(i, trail);
    this.render();
    const box = i < 0 ? this.picture.nodes[this.view.boxOf(before)] : null;
    const focused = i < 0 ? box && box.group : this.chainView.closer;
    (focused || this.root).focus({ preventScroll: true });
    if (i >= 0) this.chainView.reveal();
  }

  // What the player shows.

  render() {
    const last = this.last;
    this.position = Math.min(this.position, last); // an exercise starts over with new numbers
    if (this.predictView.on && this.view !== this.views.whole) return this.show(-1);
    const { buttons, slider, position, view } = this;
    const now = view.at(this.pass, position);
    if (this.predictView.hiding) this.chainView.select(-1);
    this.picture.update(view.pictured(now), view.lit(this.chainView.lit));
    this.stepView.update(now);
    this.chainView.update(this.pass);
    this.leavesView.update(now, this.leaves.size > 0);
    this.predictView.update();
    this.views.crumbs.hidden = this.predictView.on; // an exercise asks for every node
    this.caption.update(view, this.predictView.hiding);
    this.experimentsView.update(this.pass, this.predictView.hiding);
    for (const name of ["first", "back"]) enable(buttons[name], position > 0);
    for (const name of ["next", "last"]) enable(buttons[name], position < last);
    enable(buttons.play, last > 0);
    const toggle = this.timer ? "pause" : "play";
    if (buttons.play.title !== TEXT[toggle]) rename(buttons.play, toggle);
    setAttribute(slider, "max", String(last));
    slider.style.setProperty("--forward", `${(100 * view.graph.forwardSteps) / (last || 1)}%`);
    slider.value = String(position);
    const { title, count } = this.stepView;
    const [first, ...rest] = title.textContent;
    const spoken = `${count.textContent}: ${first.toLowerCase()}${rest.join("")}`;
    setAttribute(slider, "aria-valuetext", spoken);
  }

  point(event) {
    const named = event.target.closest("[data-node]");
    const box = named ? this.view.boxOf(Number(named.dataset.node)) : -1;
    this.picture.point(box >= 0 ? box : undefined); // a name that was removed sent no pointerout
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // a notebook must not act on our keys
    const { target } = event;
    if (event.key === "Escape") {
      if (this.chainView.node >= 0) this.select(-1);
      else if (this.presenter.on) this.presenter.leave();
    }
    if (target.matches("input, select") && target !== this.slider) return; // they handle keys
    if (event.key === " " && target.matches("button, .node")) return; // the key presses it
    const keys = {
      ArrowRight: () => this.jump(this.position + 1),
      ArrowLeft: () => this.jump(this.position - 1),
      Home: () => this.jump(0),
      End: () => this.jump(Infinity),
      " ": () => event.repeat || this.toggle(),
      f: () => event.repeat || this.presenter.toggle(),
      Backspace: () => this.view.outer >= 0 && this.show(this.view.outer),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  copy(event) {
    const { shadowRoot } = this.host;
    // Only Chromium needs to be asked for the selection inside of a shadow root.
    const selected = String((shadowRoot.getSelection ? shadowRoot : document).getSelection());
    if (!selected || event.target.matches("input")) return;
    event.clipboardData.setData("text/plain", inOneLine(selected));
    event.preventDefault();
  }

  /** A copy of what is shown, in exact numbers; null for what is not known, or not yet. */
  state() {
    const { graph, position } = this;
    const now = this.view.at(this.pass, position);
    const { pass } = now;
    const exact = (x) => (typeof x === "number" ? x : null);
    const plain = (i) => graph.nodes[i].kind === "constant";
    return {
      position,
      last: this.last,
      view: this.view.place,
      phase: now.step.phase,
      box: now.step.box,
      node: now.step.node,
      playing: this.timer !== 0,
      problem: pass.problem && explained(pass),
      data: graph.nodes.map((_, i) => exact(dataAt(now, i))),
      gradients: graph.nodes.map((_, i) => (plain(i) ? null : exact(gradientAt(now, i)))),
      upstream: now.b >= 0 && now.b < pass.failedAt ? pass.upstream[now.b] : null,
      contributions: (now.b >= 0 ? pass.contributions[now.b] : []).map(({ edge, ...numbers }) =>
        ({ operand: edge.operand, parent: edge.parent, ...numbers })),
    };
  }
}

// --- into the page -------------------------------------------------------------------------------

/** A player in every element with this id: a notebook may show one output in two places. */
function mount(id) {
  for (const host of document.querySelectorAll(`[id="${id}"]`)) {
    const recording = host.querySelector('script[type="application/json"]');
    if (recording && !host.shadowRoot) new Player(host, JSON.parse(recording.textContent));
  }
}
