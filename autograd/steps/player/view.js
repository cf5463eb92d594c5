// Which part of the drawing is visible? Zoom, pan, and following the step; pointers on the picture.

// Screen pixels per unit of the drawing, whose texts are 11 units high: the largest scale for a
// whole drawing, the one below which texts are hidden, and the one at which zooming stops.
const SCALE = { largest: 2.4, text: 0.35, closest: 6 };
const LEGIBLE = 1; // the smallest scale at which a step is shown
const PRESENT = { legible: 16.5 / 11, small: 13 / 11, largest: 4 }; // for a class (small: phone)
const PHONE = 480; // a stage of at most this width is a phone's
const MARGIN = 14; // stays free around the drawing
const TEXTS = { across: 240, down: 80 }; // no text of a node is further from its first one's middle

/** A view is the point of the drawing in the middle of the stage, and the scale. */
class View {
  constructor(picture, actions) {
    this.picture = picture;
    this.actions = actions;
    this.at = { x: 0, y: 0, scale: 1 };
    this.size = { width: 0, height: 0 }; // of the stage on the screen; 0 while it is not shown
    this.fitted = true;
    this.present(false);
    this.chosen = false; // whether the reader has zoomed, panned, or asked to see it all
    this.pointers = new Map();
    this.overview = new Overview(this);
  }

  /** Switch to scales that are legible from afar, or back. */
  present(on) {
    this.presented = on;
    this.largest = on ? PRESENT.largest : SCALE.largest;
    if (this.size.width) this.begin();
  }

  /** Show another drawing, which covers `box` in its own coordinates. */
  open(drawing, box) {
    this.drawing = drawing;
    this.box = box;
    this.chosen = false;
    this.followed = -1; // the node last stepped to or focused
    if (this.size.width) this.begin();
  }

  /** The largest scale at which a drawing of this size is seen as a whole. */
  scaleOf({ width, height }) {
    const across = this.size.width / (width + 2 * MARGIN);
    return Math.min(this.largest, across, this.size.height / (height + 2 * MARGIN));
  }

  /** The stage has this size now; on paper, where it has another, the same part is shown. */
  resized(size) {
    this.size = size;
    this.picture.svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    if (!this.chosen) this.begin();
    else if (this.fitted) this.fit();
    else this.look(this.at);
  }

  /** The smallest scale at which a step is shown unless the reader chooses otherwise. */
  get legible() {
    if (!this.presented) return LEGIBLE;
    return this.size.width > PHONE ? PRESENT.legible : PRESENT.small;
  }

  /** Show the whole drawing or, if that is not legible, the part around the current step. */
  begin() {
    this.chosen = false;
    this.fit();
    if (this.at.scale >= this.legible) return;
    this.fitted = false;
    this.look(this.around(this.picture.current, this.legible));
  }

  fit() {
    const { x, y, width, height } = this.box;
    this.fitted = true;
    this.look({ x: x + width / 2, y: y + height / 2, scale: this.scaleOf(this.box) });
  }

  look(view, smoothly = false) {
    cancelAnimationFrame(this.frame);
    const from = this.at;
    const start = performance.now();
    const still = !smoothly || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const draw = (time) => {
      const t = still ? 1 : clamped((time - start) / 350, 0, 1);
      const part = (key) => from[key] + (view[key] - from[key]) * t * (2 - t);
      this.at = t === 1 ? view : { x: part("x"), y: part("y"), scale: part("scale") };
      const { x, y, scale } = this.at;
      const shift = `${this.size.width / 2 - x * scale} ${this.size.height / 2 - y * scale}`;
      this.drawing.setAttribute("transform", `translate(${shift}) scale(${scale})`);
      this.leaveOut(this.at);
      this.overview.update(this.at);
      if (t < 1) this.frame = requestAnimationFrame(draw);
    };
    this.overview.place(view);
    draw(start);
    const { stage } = this.picture;
    stage.classList.toggle("zoomed", !this.fitted);
    stage.classList.toggle("tiny", view.scale < SCALE.text);
  }

  /** Texts take most of the time of an update, visible or not: those far away are hidden. */
  leaveOut({ x, y, scale }) {
    const { width, height } = this.size;
    for (const { group, at } of this.picture.nodes) {
      const [across, down] = [Math.abs(at.x - x), Math.abs(at.y - y)];
      const away = across > width / 2 / scale + TEXTS.across
        || down > height / 2 / scale + TEXTS.down;
      group.toggleAttribute("data-away", away);
    }
  }

  /** Zoom in (a factor above 1) or out; (clientX, clientY), or the middle, stays put. */
  zoom(factor, clientX, clientY) {
    const { at } = this;
    const scale = Math.min(at.scale * factor, SCALE.closest);
    this.chosen = true;
    if (factor <= 1 && scale <= this.scaleOf(this.box) * 1.01) return void this.fit();
    this.fitted = false;
    const fixed = clientX === undefined ? at : this.place(clientX, clientY);
    const change = at.scale / scale;
    const [x, y] = [fixed.x - (fixed.x - at.x) * change, fixed.y - (fixed.y - at.y) * change];
    this.look({ x, y, scale }, clientX === undefined);
  }

  /** Centre the view on a point of the drawing. */
  moveTo({ x, y }) {
    this.fitted = false;
    this.chosen = true;
    this.look({ x, y, scale: this.at.scale });
  }

  /** The point of the drawing that is at a point of the screen. */
  place(clientX, clientY) {
    const { left, top, width, height } = this.picture.svg.getBoundingClientRect();
    const { x, y, scale } = this.at;
    const [right, down] = [clientX - left - width / 2, clientY - top - height / 2];
    const seen = scale * (width / this.size.width); // slides are scaled as a whole
    return { x: x + right / seen, y: y + down / seen };
  }

  /** Bring a node and its parents into view. */
  follow(i) {
    this.followed = i;
    this.overview.point();
    if (this.fitted || !this.size.width || this.pointers.size) return;
    const { at, size } = this;
    const family = this.picture.family(i);
    const inside = (key, length) =>
      Math.abs(family[key] - at[key]) <= (size[length] / at.scale - family[length]) / 2 + 1;
    if (inside("x", "width") && inside("y", "height")) return this.overview.place(at);
    this.look(this.around(i, at.scale), true);
  }

  /** The view that shows a node, as much of its parents as possible, and no empty border. */
  around(i, scale) {
    const [node, family] = [this.picture.region([i]), this.picture.family(i)];
    const middle = (key, length) => {
      const seen = this.size[length] / scale;
      const slack = Math.max(0, (seen - node[length]) / 2 - MARGIN);
      const near = clamped(family[key], node[key] - slack, node[key] + slack);
      const first = this.box[key] - MARGIN + seen / 2;
      const last = this.box[key] + this.box[length] + MARGIN - seen / 2;
      return first > last ? (first + last) / 2 : clamped(near, first, last);
    };
    return { x: middle("x", "width"), y: middle("y", "height"), scale };
  }

  // Pointers: a leaf that can move is dragged sideways, anything else pans, two fingers pinch.

  listen(stage, svg) {
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * -0.004), event.clientX, event.clientY);
    }, { passive: false });
    for (const type of ["gesturestart", "gesturechange"]) {
      stage.addEventListener(type, (event) => this.gesture(event));
    }
    // Safari would select the texts of the page that a drag reaches.
    stage.addEventListener("selectstart", (event) => event.preventDefault());
    svg.addEventListener("pointerdown", (event) => this.down(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    // A dragged pointer is captured: it leaves when it is lifted. Of a touch that is cancelled, such
    // as by scrolling, Safari tells only the shape under it that it leaves.
    for (const type of ["pointerup", "pointercancel", "pointerleave"]) {
      svg.addEventListener(type, (event) => this.up(event));
    }
  }

  /** Two fingers on a Mac's trackpad in Safari; those on a screen are pointers as well. */
  gesture(event) {
    if (this.pointers.size) return;
    event.preventDefault(); // of the page
    const before = event.type === "gesturestart" ? event.scale : this.stretched;
    this.stretched = event.scale;
    this.zoom(event.scale / before, event.clientX, event.clientY);
  }

  down(event) {
    if (event.button) return;
    const [x, y] = [event.clientX, event.clientY];
    this.pointers.set(event.pointerId, { x, y });
    const i = this.picture.nodes.findIndex(({ group }) => group.contains(event.target));
    const leaf = i >= 0 && this.picture.graph.nodes[i].movable ? i : -1;
    const value = leaf < 0 ? 0 : this.actions.value(leaf);
    this.grip = { x, y, held: this.place(x, y), leaf, value };
    this.spread = this.fingers();
  }

  move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const { x, y, held, leaf, value } = this.grip;
    const [dx, dy] = [event.clientX - x, event.clientY - y];
    // The browser scrolls the page instead, as `touch-action` lets it, and cancels the pointer.
    const scrolls = this.fitted && event.pointerType === "touch" && this.pointers.size === 1
      && Math.abs(dy) > Math.abs(dx);
    if (!this.dragged && (scrolls || Math.hypot(dx, dy) < 4)) return;
    // Capturing earlier would swallow clicks.
    if (!this.dragged) this.picture.svg.setPointerCapture(event.pointerId);
    this.dragged = true;
    if (this.pointers.size > 1) this.pinch();
    else if (leaf >= 0) this.actions.drag(leaf, value, dx, event.shiftKey);
    else this.pan(held, this.place(event.clientX, event.clientY));
  }

  /** Bring one point of the drawing to where another one is. */
  pan(held, here) {
    const { at } = this;
    this.moveTo({ x: at.x + held.x - here.x, y: at.y + held.y - here.y });
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return; // was lifted before, or only hovered
    for (const { x, y } of this.pointers.values()) {
      this.grip = { x, y, held: this.place(x, y), leaf: -1 }; // the remaining finger keeps panning
    }
    this.spread = this.fingers();
    if (!this.pointers.size) setTimeout(() => (this.dragged = false)); // after this drag's click
  }

  /** How far apart the first two fingers are, and their middle; one is 0 apart from itself. */
  fingers() {
    const [p = { x: 0, y: 0 }, q = p] = this.pointers.values();
    return { apart: Math.hypot(p.x - q.x, p.y - q.y), x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 };
  }

  pinch() {
    const now = this.fingers();
    this.zoom(now.apart / this.spread.apart, now.x, now.y);
    this.spread = now;
  }
}

const clamped = (x, least, most) => Math.max(least, Math.min(most, x));
