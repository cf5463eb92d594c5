// What happens in the step of a box of several nodes? Values flow in and out, and gradients back.

/** The step of box b of a folded graph, in its panel. */
function boxShown(fold, b, { step, pass }) {
  const box = fold.boxes[b];
  const sums = box.sums.sums(Object.getPrototypeOf(pass));
  const [name, ...about] = box.lines;
  const line = (key, ...value) => [span("key", key, " "), span("value", ...value, " ")];
  const many = (n, written) => [written, " ", span("note", n > 1 ? TEXT.values(n) : "")];
  const data = (flow) => many(flow.values, dataNumber(shown(flow.data)));
  const gradients = (flow) => many(flow.receiving, gradientNumber(shown(flow.gradients)));
  const { taken, given, parameters, norm } = sums;
  const named = (tails) => tails.map((tail) => fold.seen.name(tail)).join(", ");
  const from = named(box.parents);
  const to = named(box.parents.filter((tail) => fold.boxes[tail].kind !== "constant"));
  const rows = step.phase === "forward" ? [
    ...(taken ? line(TEXT.takes(from), ...data(taken)) : []),
    ...line(TEXT.gives, ...data(given)),
  ] : [
    ...(given.gradients !== null ? line(TEXT.arrives, ...gradients(given)) : []),
    ...(taken && taken.gradients !== null ? line(TEXT.handsBack(to), ...gradients(taken)) : []),
    ...(parameters ? line(TEXT.trained(parameters), TEXT.norm, gradientNumber(shown(norm))) : []),
  ];
  const parts = [note([...new Set([...about, counted(box.size, "node")])].join(", ")),
    element("div", { class: "rows" }, ...rows)];
  if (box.kind !== "module") return parts;
  return [...parts, box.opens < 0 ? note(TEXT.closedPart(name, box.size))
    : worded(TEXT.openPart(name), () => fold.open(box.opens))];
}
