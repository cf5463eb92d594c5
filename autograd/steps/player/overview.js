// Where in the drawing is the visible part? A small picture of the whole shows it and moves it.

// The longest side of the overview, in pixels and as a share of the stage; it may be longer along a
// drawing that is more than LONG times as long as it is wide.
const OVERVIEW = { most: 150, longest: 260, share: 0.3, longShare: 0.5, least: 26 };
const LONG = 3;
const CORNERS = ["left bottom", "right bottom", "right top", "left top"];

/** The overview, in the corner of the stage that the current step leaves free. */
class Overview {
  constructor(view) {
    this.view = view;
    const part = (name) => element(`svg:${name}`, { "vector-effect": "non-scaling-stroke" });
    [this.edges, this.boxes, this.node, this.seen] = ["path", "path", "path", "rect"].map(part);
    const named = { edges: this.edges, boxes: this.boxes, current: this.node, seen: this.seen };
    for (const [name, drawn] of Object.entries(named)) drawn.setAttribute("class", name);
    const listeners = {
      pointerdown: (event) => {
        this.svg.setPointerCapture(event.pointerId);
        this.move(event);
      },
      pointermove: (event) => event.buttons && this.move(event),
    };
    const about = { role: "img", "aria-label": TEXT.overview };
    this.svg = element("svg:svg", { ...about, ...listeners }, ...Object.values(named));
    this.frame = element("div", { class: "overview" }, this.svg);
    this.corner = CORNERS[0];
  }

  /** Show where a view is in the drawing, unless it shows all of it. */
  update({ x, y, scale }) {
    const { size, box } = this.view;
    const [width, height] = [size.width / scale, size.height / scale];
    const all = Math.abs(x - box.x - box.width / 2) <= (width - box.width) / 2 + 1
      && Math.abs(y - box.y - box.height / 2) <= (height - box.height) / 2 + 1;
    this.frame.hidden = all;
    if (all) return;
    if (this.drawn !== this.view.drawing) this.draw();
    const rectangle = { x: x - width / 2, y: y - height / 2, width, height };
    for (const [name, value] of Object.entries(rectangle)) this.seen.setAttribute(name, value);
  }

  draw() {
    const { box, drawing, picture } = this.view;
    this.drawn = drawing;
    this.outlines = picture.nodes.map((_, i) => outline(picture.boxOf(i)));
    this.boxes.setAttribute("d", this.outlines.join(""));
    const lines = [...drawing.querySelectorAll(".edge > path, .edge > g > path")];
    this.edges.setAttribute("d", lines.map((line) => line.getAttribute("d")).join(""));
    this.svg.setAttribute("viewBox", [box.x, box.y, box.width, box.height].join(" "));
    this.point();
  }

  /** Mark the node of the current step. */
  point() {
    if (this.drawn !== this.view.drawing) return;
    this.node.setAttribute("d", this.outlines[this.view.picture.current]);
  }

  /** Take a size that suits the stage, and a corner where the overview hides no followed node. */
  place(view) {
    const { size, box, picture } = this.view;
    const most = (length, other) => (box[length] > LONG * box[other]
      ? Math.min(OVERVIEW.longest, OVERVIEW.longShare * size[length])
      : Math.min(OVERVIEW.most, OVERVIEW.share * size[length]));
    const scale = Math.min(
      most("width", "height") / box.width, most("height", "width") / box.height);
    const [width, height] = ["width", "height"].map((length) =>
      Math.round(Math.max(box[length] * scale, OVERVIEW.least)));
    const room = { width: size.width - width - 12, height: size.height - height - 12 };
    const frees = (corner, region) => {
      const start = (key, length) =>
        size[length] / 2 + (region[key] - region[length] / 2 - view[key]) * view.scale;
      const apart = (side, key, length) => (corner.includes(side)
        ? start(key, length) > size[length] - room[length]
        : start(key, length) + region[length] * view.scale < room[length]);
      return apart("left", "x", "width") || apart("top", "y", "height");
    };
    const free = (region) =>
      [this.corner, ...CORNERS].find((corner) => frees(corner, region));
    const i = this.view.followed < 0 ? picture.current : this.view.followed;
    this.corner = free(picture.family(i)) || free(picture.region([i])) || this.corner;
    setAttribute(this.svg, "width", String(width));
    setAttribute(this.svg, "height", String(height));
    setAttribute(this.frame, "class", `overview ${this.corner}`);
  }

  move(event) {
    const matrix = this.svg.getScreenCTM().inverse();
    this.view.moveTo(new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix));
  }
}

const outline = ({ x, y, width, height }) => `M${x} ${y}h${width}v${height}h${-width}z`;
