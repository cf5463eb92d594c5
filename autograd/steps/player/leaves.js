// What are the leaves, and how are they moved? A list with a slider and a field for each.

const MANY = 10; // only the visible part of a longer list is laid out
const TICKS = 200; // of a slider to either side, and the pixels of a drag over the same range

/** How far a slider reaches to either side of a number; `toFixed` has 100 decimals at most. */
function reach(x) {
  const size = Math.abs(x);
  const least = size > 1e-90 && size < 0.01 ? 0 : 1;
  return size < Infinity ? clamped(2 * size, least, Number.MAX_VALUE) : 1;
}

/** x + change, rounded to a decimal no coarser than `unit`; x itself if the change is 0. */
function moved(x, change, unit) {
  if (!change) return x;
  const places = Math.ceil(-Math.log10(unit));
  return Number((x + change).toFixed(Math.max(0, places))) + 0; // and no -0
}

/** The list of the leaves, each with a slider, a field, and the gradient it has received. */
class LeavesView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.rows = graph.leaves.map((i) => this.row(i));
    this.reset = worded(TEXT.reset, actions.reset);
    for (const name of ["aria-label", "title"]) this.reset.setAttribute(name, TEXT.resetLeaves);
    const list = element("ul", {}, ...this.rows.map(({ item }) => item));
    const longest = Math.max(0, ...graph.leaves.map((i) => graph.name(i).length));
    const room = 0.6 * Math.min(longest, 23) + 0.8;
    list.style.setProperty("--name", `${room}em`);
    list.style.setProperty("--row", `${room + 19}em`);
    list.classList.toggle("many", this.rows.length > MANY);
    const head = element("header", {}, element("h3", {}, TEXT.leaves), this.reset);
    this.section = element("section", { class: "leaves" }, head, list);
  }

  row(i) {
    const { graph, actions } = this;
    const { name, label: whole, movable, fixed_because: why } = graph.nodes[i];
    const start = graph.values[i];
    const centre = Number.isFinite(start) ? start : 0;
    const unit = reach(centre) / TICKS;
    const gradient = cell(gradientNumber(""));
    const received = span("grad", span("key", TEXT.grad), " ", gradient.value);
    const full = whole === name ? [] : [span("whole", whole)];
    if (!movable) {
      const numbers = span("numbers", dataNumber(number(start)), received);
      const said = graph.excerpt ? "" : TEXT.fixed(why); // the caption of an excerpt says it
      const parts = [nameOf(graph, i), numbers, ...full, span("note", said)];
      return { i, gradient, item: element("li", { class: "fixed" }, ...parts) };
    }
    const label = { "aria-label": TEXT.value(name) };
    const slider = element("input", { type: "range", min: -TICKS, max: TICKS, step: 1, ...label,
      input: () => actions.set(i, moved(centre, slider.valueAsNumber * unit, unit)) });
    const step = Number(`1e${Math.floor(Math.log10(20 * unit))}`);
    const field = element("input", { type: "number", step, ...label,
      // `valueAsNumber` would turn -0 into 0.
      input: () => field.value && actions.set(i, Number(field.value)),
      blur: () => this.move(row, actions.value(i)) });
    const ticks = (x) => clamped(Math.round((x - centre) / unit), -TICKS, TICKS) || 0;
    const numbers = span("numbers", slider, field, received);
    const item = element("li", {}, nameOf(graph, i), numbers, ...full);
    const row = { i, item, gradient, slider, field, ticks };
    return row;
  }

  /** List these leaves only. */
  list(leaves) {
    for (const { i, item } of this.rows) item.hidden = !leaves.has(i);
    this.section.hidden = !this.rows.some(({ i }) => leaves.has(i));
  }

  update(now, anyMoved) {
    enable(this.reset, anyMoved);
    for (const row of this.rows) {
      write(row.gradient, shown(gradientAt(now, row.i)));
      if (row.slider && !Object.is(row.value, now.pass.values[row.i])) {
        this.move(row, now.pass.values[row.i]);
      }
    }
  }

  /** Show a leaf's new value, but leave a field alone while it is being typed in. */
  move(row, x) {
    const { slider, field } = row;
    slider.value = String(row.ticks(x));
    setAttribute(slider, "aria-valuetext", number(x));
    if (field.getRootNode().activeElement === field) return;
    field.value = Number.isFinite(x) ? number(x, 6) : ""; // it cannot hold nan or inf
    field.placeholder = number(x, 6);
    field.classList.toggle("long", field.value.length > 9);
    row.value = x;
  }
}
