// How does the output depend on one node? The chain rule, written out for the node that was clicked.

const MOST_PATHS = 20;
const MANY_PATHS = 10; // of more, only what is in view is laid out

/** The panel that writes out, for one node, every path of the chain rule. */
class ChainView {
  constructor(graph, actions) {
    this.graph = graph;
    this.actions = actions;
    this.title = element("h3");
    this.closer = button("close", () => actions.select(-1));
    this.body = element("div", { class: "body" });
    const head = element("header", {}, this.title, this.closer);
    this.section = element("section", { class: "chain", role: "dialog" }, head, this.body);
    this.select(-1);
  }

  select(i) {
    this.node = i;
    this.section.hidden = i < 0;
    this.lit = null;
    this.written = null;
    if (i < 0) return;
    const title = TEXT.chain(this.graph.name(i));
    setText(this.title, title);
    setAttribute(this.section, "aria-label", title);
    this.paths = pathsTo(this.graph, i, MOST_PATHS);
    this.lit = this.paths.edges;
  }

  /** The texts stay, and only numbers change, as long as the node is the same. */
  build(pass) {
    const { graph, node } = this;
    const { count, found } = this.paths;
    const [output, name] = [graph.name(graph.output), graph.name(node)];
    this.total = cell(gradientNumber(""));
    this.terms = found.map(() => cell(gradientNumber("")));
    this.written = found.map((path) => this.path(pass, path));
    const rest = count - BigInt(found.length);
    const terms = this.terms.flatMap(({ value }, k) => [k ? " + " : "", value]);
    const total = [this.total.value];
    const lines = count > 1n ? [[...terms, rest ? " + …" : ""], total] : [total];
    const result = equation([slope(output, name)], ...lines);
    if (graph.nodes[node].kind === "constant") return [note(TEXT.constant)];
    if (node === graph.output) return [note(TEXT.itself), result];
    if (!count) return [note(TEXT.noPath(output, name)), result];
    const parts = [note(TEXT.paths(count, output, name)), ...this.written.map(({ part }) => part)];
    return rest ? [...parts, note(TEXT.others(rest)), result] : [...parts, result];
  }

  /** One path: the nodes on it, the slopes between these in symbols and in numbers, the product. */
  path(pass, path) {
    const { graph } = this;
    const route = [nameOf(graph, graph.output)];
    const [slopes, symbols, line] = [[], [], []];
    const numbers = path.map(({ from, edge }, k) => {
      if (k) [slopes, symbols, line].forEach((written) => written.push(" × "));
      route.push(" → ", nameOf(graph, edge.parent));
      slopes.push(slope(graph.name(from), graph.name(edge.parent)));
      const apart = path.length > 1 && edge.symbols.some((part) => / [-+*/] |^-/.test(part));
      const factor = inSymbols(pass, edge.symbols);
      symbols.push(...(apart ? ["(", ...factor, ")"] : factor));
      const local = cell(dataNumber(""));
      line.push(local.value);
      return local;
    });
    const product = cell(gradientNumber(""));
    const alone = new Set(path.map(({ edge }) => edge));
    const part = element("div", { class: "path", pointerenter: () => this.actions.light(alone),
      pointerleave: () => this.actions.light(this.lit) },
    element("div", { class: "route" }, ...route),
    element("div", { class: "slopes" }, ...slopes),
    equation([], symbols, ...(path.length > 1 ? [line] : []), [product.value]));
    return { path, part, numbers, product };
  }

  update(pass) {
    if (this.node < 0) return;
    if (!this.written) this.body.replaceChildren(...this.build(pass));
    this.body.classList.toggle("many", this.written.length > MANY_PATHS);
    const { steps } = this.graph;
    write(this.total, shown(gradientAt(pass.at(steps.length), this.node)));
    this.written.forEach(({ path, numbers, product }, i) => {
      const result = productAlong(pass, path);
      const text = shown(result.product);
      write(product, text);
      write(this.terms[i], i ? grouped(text) : text);
      const locals = result.locals.map(shown);
      locals.forEach((local, k) => write(numbers[k], k ? grouped(local) : local));
    });
  }
}
