// Why does a node have its gradient? The sum over its uses, each of which can be opened in turn.

const MOST_TERMS = 8; // the terms of a longer sum are only listed below it
const MANY_TERMS = 20; // only the visible part of a longer list is laid out

/** The panel that explains the gradient of the node that was clicked, or of a use opened in it. */
class ChainView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.title = element("h3");
    this.closer = button("close", () => actions.select(-1));
    this.trailed = element("nav", { "aria-label": TEXT.trail });
    this.result = element("div");
    this.body = element("div", { class: "body" });
    const head = element("header", {}, this.title, this.closer);
    this.sum = element("div", { class: "sum" }, head, this.trailed, this.result);
    this.section = element("section", { class: "chain", role: "dialog" }, this.sum, this.body);
    this.select(-1);
  }

  /** Explain node i; `trail` holds the nodes from the clicked one to i, from use to use. */
  select(i, trail = [i]) {
    this.node = i;
    this.section.hidden = i < 0;
    this.lit = null;
    this.terms = null;
    if (i < 0) return;
    const title = TEXT.chain(this.graph.name(i));
    setText(this.title, title);
    setAttribute(this.section, "aria-label", title);
    this.trail = trail;
    this.uses = this.graph.uses[i];
    this.lit = new Set(this.uses);
  }

  /** Bring the start of the explanation into view. */
  reveal() {
    const [top, sum] = [this.section, this.sum].map((part) => part.getBoundingClientRect().top);
    if (sum > top + 2) this.section.scrollIntoView(); // the sum sticks below the picture
    else this.sum.scrollIntoView({ block: "nearest" });
  }

  /** Build the texts; as long as the node is the same, only numbers change afterwards. */
  build(pass) {
    const { graph, node, uses, trail } = this;
    const [output, name] = [graph.name(graph.output), graph.name(node)];
    const steps = trail.slice(0, -1).flatMap((i, k) => [element("button", { type: "button",
      "data-node": i, click: () => this.actions.select(i, trail.slice(0, k + 1)) }, graph.name(i)),
    " ← "]);
    this.trailed.replaceChildren(...steps, name);
    this.trailed.hidden = trail.length === 1;
    this.terms = uses.map((edge) => this.use(pass, edge));
    const paths = pathsTo(graph, node).filter(() => uses.length);
    this.paths = paths.map((path) => this.path(pass, path));
    this.total = cell(gradientNumber(""));
    this.added = uses.map(() => cell(gradientNumber("")));
    const sum = this.added.flatMap(({ value }, k) => [k ? " + " : "", value]);
    const added = uses.length > MOST_TERMS ? [span("note", TEXT.sumOfUses(uses.length))] : sum;
    this.result.replaceChildren(
      equation([slope(output, name)], ...(uses.length > 1 ? [added] : []), [this.total.value]));
    const list = element("ul", { class: uses.length > MANY_TERMS ? "many" : "" },
      ...this.terms.map(({ part }) => part));
    const count = paths.reduce((sum, path) => sum + path.count, 0);
    this.body.replaceChildren(...(uses.length ? [note(TEXT.uses(uses.length)), list]
      : [note(graph.nodes[node].kind === "constant" ? TEXT.constant
        : node === graph.output ? TEXT.itself : TEXT.noPath(output, name))]),
    ...(count ? [note(TEXT.paths(count)), ...this.paths.map(({ part }) => part)] : []));
    explainConditions(this.body);
    this.result.hidden = graph.nodes[node].kind === "constant"; // it has no gradient, rather than 0
    this.section.scrollTop = 0;
  }

  /** A use on one line, as a button that opens it. */
  use(pass, edge) {
    const { graph, actions, trail } = this;
    const { node: from } = edge;
    const factors = [[slope(graph.name(graph.output), graph.name(from))], factor(pass, edge)];
    const term = termOf(factors, [gradientNumber(""), dataNumber("")]);
    const several = this.uses.filter(({ node }) => node === from).length > 1;
    term.symbols.append(span("note", several ? ` ${TEXT.operand(edge.operand)}` : ""));
    const opener = element("button", { type: "button", class: "use", "data-node": from,
      title: TEXT.open(graph.name(from)), click: () => actions.select(from, [...trail, from]) },
    term.symbols, term.numbers);
    return { ...term, part: element("li", this.lights([edge]), opener), of: (now) => {
      const { upstream, local, product } = contributionOf(now, edge);
      return { numbers: [upstream, local], product, silent: upstream === 0 };
    } };
  }

  /** A path: the nodes on it, and the product in names and in numbers. */
  path(pass, path) {
    const { graph } = this;
    const { edges } = path;
    const slopes = edges.filter((edge) => !isOne(graph, edge));
    const alone = slopes.length === 1 && path.count === 1;
    const term = termOf(slopes.map((edge) => factor(pass, edge, alone)),
      slopes.map(() => dataNumber("")), path.count);
    const route = edges.flatMap(({ parent }) => [" → ", nameOf(graph, parent)]);
    const part = element("div", { class: "path", ...this.lights(edges) },
      element("div", { class: "route" }, nameOf(graph, graph.output), ...route),
      term.symbols, term.numbers);
    return { ...term, part, of: (now) => {
      const { locals, product, silent } = productAlong(now, path);
      return { numbers: locals, product, silent };
    } };
  }

  /** Listeners that light only these edges while the pointer is over an element. */
  lights(edges) {
    return { pointerenter: () => this.actions.light(new Set(edges)),
      pointerleave: () => this.actions.light(this.lit) };
  }

  update(pass) {
    if (this.node < 0) return;
    if (!this.terms) this.build(pass);
    const total = gradientAt(pass.at(this.graph.steps.length), this.node);
    write(this.total, shown(total));
    const texts = writeTerms(pass, this.terms, total);
    texts.forEach((text, k) => write(this.added[k], k ? grouped(text) : text));
    writeTerms(pass, this.paths, total);
  }
}

/** A formula without what is in parentheses or brackets. */
function withoutGroups(text) {
  const less = text.replace(/\([^()]*\)|\[[^[\]]*\]/g, "");
  return less === text ? text : withoutGroups(less);
}

/** A local derivative in names, in parentheses if it needs them in a product. */
function factor(pass, { symbols }, alone = false) {
  const isName = symbols.length === 1 && symbols[0].slot < pass.graph.size;
  const text = symbols.map((part) => (typeof part === "string" ? part : "x")).join("");
  const apart = !alone && (isName ? oneWord(pass.graph.name(symbols[0].slot)).startsWith("(")
    : / [-+*/] |^-/.test(withoutGroups(text)));
  const parts = inSymbols(pass, symbols);
  return apart ? ["(", ...parts, ")"] : parts;
}

/** A product in names and in numbers, filled in later; a count of 2 gives 2 × (a × b). */
function termOf(factors, numbers, count = 1) {
  const times = (parts) => {
    const line = parts.flatMap((part, k) => (k ? [" × ", ...part] : part));
    const inside = line.length ? line : ["1"];
    if (count === 1) return inside;
    return parts.length > 1 ? [`${count} × (`, ...inside, ")"] : [`${count} × `, ...inside];
  };
  const cells = numbers.map((value) => cell(value));
  const result = cell(gradientNumber(""));
  const silence = span("note", TEXT.silent);
  const written = span("", ...times(numbers.map((value) => [value])), " = ");
  return { cells, result, silence, written, count,
    symbols: span("symbols", ...times(factors)),
    numbers: span("numbers", "= ", written, result.value, " ", silence) };
}

/** Write the numbers of a sum of products; returns their contributions as shown. */
function writeTerms(pass, terms, total) {
  const values = terms.map((term) => term.of(pass));
  const products = values.map(({ product }) => product);
  const known = typeof total === "number" && !products.includes(null);
  const digits = known ? digitsThatAddUp(products, total) : DIGITS;
  const text = (x) => (x === null ? TEXT.unknown : number(x, digits));
  return terms.map(({ cells, result, silence, written, count }, i) => {
    const { numbers, silent } = values[i];
    const lone = cells.length === 1 && count > 1;
    cells.forEach((each, k) => {
      const local = text(numbers[k]);
      write(each, k || lone ? grouped(local) : local);
    });
    write(result, text(products[i]));
    silence.hidden = !silent;
    written.hidden = silent || (cells.length < 2 && count === 1); // the result alone says it
    return text(products[i]);
  });
}

/** As in Python: the fewest digits in which the terms of a sum add up to the total in DIGITS. */
function digitsThatAddUp(terms, total) {
  const goal = Number(number(total));
  const size = Math.abs(goal);
  const unit = size > 0 && size < Infinity ? 10 ** (Math.floor(Math.log10(size)) - DIGITS + 1) : 0;
  const most = 1.01 * unit + terms.reduce((sum, term) => sum + Math.abs(term), 0) * 2 ** -49;
  for (let digits = DIGITS; digits < 17; digits++) {
    const found = terms.reduce((sum, term) => sum + Number(number(term, digits)), 0);
    if (!(Math.abs(found - goal) > most)) return digits;
  }
  return DIGITS;
}
