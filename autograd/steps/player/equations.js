// How does an equation look on the page? Formulas in names and in numbers, derivatives, lines.

/** A node's name; pointing at it lights the node and shows the full name. */
const nameOf = (graph, i) => element("span",
  { class: "name", "data-node": i, title: graph.nodes[i].label }, graph.name(i));
const dataNumber = (text) => span("number data", text);
const gradientNumber = (text) => span("number gradient", text);
const grouped = (text) => (text.startsWith("-") ? `(${text})` : text);
/** ` = 3`; a line breaks before the equals sign, not after it. */
const equals = (result) => [" ", span("equals", "= ", result)];
/**
 * As in Python: a name as written after ∂ or in a product, such as (a + b) for that label.
 * Combining marks, such as the hat of x̂, belong to the preceding letter.
 */
const oneWord = (name) =>
  (/^[\p{L}\p{N}_.'[\]…]+$/u.test(name.replace(/\p{M}/gu, "")) ? name : `(${name})`);

/** A recorded formula with nodes shown by their names; no line breaks within a comparison. */
function inSymbols(pass, formula) {
  const { graph } = pass;
  return formula.map((item) => {
    if (typeof item === "string") return item.replace(/ ([<>]) /g, "\u00a0$1\u00a0");
    if (item.slot >= graph.size) return span("number", inPlace(pass, item, DIGITS));
    const made = nameOf(graph, item.slot);
    if (item.name !== undefined) made.textContent = item.name;
    return made;
  });
}

/** The formula of a node in numbers, in enough digits for the result. */
function inNumbers(pass, node) {
  const { formula, op, parents } = pass.graph.nodes[node];
  const operands = parents.map((j) => pass.values[j]);
  const [a, b] = operands;
  const terms = { add: [a, b], sub: [a, -b] }[op];
  const digits = terms ? digitsThatAddUp(terms, pass.values[node])
    : digitsThatGive(pass.values[node], op, operands);
  return formula.map((item) =>
    (typeof item === "string" ? item : dataNumber(inPlace(pass, item, digits))));
}

/** As in Python: the fewest digits in which an operation gives its result within 0.2 %. */
function digitsThatGive(result, op, operands) {
  if (!Object.hasOwn(OPERATIONS, op)) return DIGITS; // a user's function
  for (let digits = DIGITS; digits < 18; digits++) {
    const rounded = operands.map((x) => (Number.isFinite(x) ? Number(number(x, digits)) : x));
    let found;
    const failed = raised(() => (found = OPERATIONS[op](...rounded)));
    if (!failed && !(Math.abs(found - result) > 0.002 * Math.abs(result))) return digits;
  }
  return DIGITS;
}

function inPlace(pass, item, digits) {
  const text = pass.known[item.slot] ? number(pass.values[item.slot], digits) : TEXT.unknown;
  return item.grouped ? grouped(text) : text;
}

/** ∂a/∂b, one above the other; read aloud, it is ∂a/∂b in one line. */
function slope(of, by) {
  const line = (name) => span("", "∂", element("i", {}, oneWord(name)));
  return span("slope", line(of), span("hidden", "/"), line(by));
}

/** The lines of an equation, with aligned equals signs: `c = a * b`, `= 2 * 3`, `= 6`. */
function equation(left, ...rights) {
  const lines = [span("left", ...left)];
  for (const right of rights) lines.push(span("sign", " = "), span("right", ...right));
  return element("div", { class: "equation" }, ...lines);
}

/** Copied text with each equation on one line: Chromium gives each part of a grid its own. */
function inOneLine(text) {
  return text.replace(/\u00a0/g, " ").replace(/\n\/\n/g, "/")
    .replace(/\n ?(?=[=×] )/g, " ").replace(/( = )\n/g, "$1");
}

/** Add an explanation to a panel that has a condition in brackets, such as [x > 0]. */
function explainConditions(panel) {
  if (/\[[^\]]*\s[<>]\s[^\]]*\]/.test(panel.textContent)) panel.append(note(TEXT.conditions));
}

/** A derivative in symbols and in numbers, or as a number if its symbols are one. */
function symbolsAndNumber(pass, formula, text) {
  const symbols = inSymbols(pass, formula);
  const written = symbols.map((part) => part.textContent || part).join("");
  return [...(written === text ? [] : [" = ", ...symbols]), ...equals(dataNumber(text))];
}
