// How does a pass become an exercise? Each number is hidden until the learner has predicted it.

/** The mode in which numbers are predicted: its switch, its panel, and how far one may look. */
class PredictView {
  constructor(graph, actions, on) {
    this.graph = graph;
    this.actions = actions;
    this.on = on;
    this.toggle = worded(TEXT.predict.mode, () => this.turn(!this.on));
    this.title = element("h3");
    this.score = span("count");
    this.body = element("div", { class: "body" });
    this.input = element("input", { type: "text", autocomplete: "off", spellcheck: "false",
      maxlength: 30, keydown: (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault(); // the key would press the button that gets the focus at the end
        this.check();
      } });
    this.checker = worded(TEXT.predict.check, () => this.check());
    this.hint = worded(TEXT.predict.hint, () => this.giveHint());
    this.show = worded(TEXT.predict.show, () => this.giveAnswer());
    this.again = worded(TEXT.predict.again, () => this.turn(true));
    this.hints = element("div", { class: "hints" });
    this.feedback = element("p", { class: "feedback" });
    const head = element("header", {}, this.title, this.score);
    this.section = element("section", { class: "predict", "aria-label": TEXT.predict.mode },
      head, this.body);
  }

  // How far the exercise has come.

  turn(on) {
    const seen = this.limit(this.pass);
    this.on = on;
    this.pass = null; // so that it starts over
    this.actions.jump(seen);
    if (on) this.actions.say(this.asked());
  }

  begin(pass) {
    this.pass = pass;
    this.questions = questionsOf(pass);
    this.place = 0; // of the current question
    this.ask();
    this.say("", "");
  }

  ask() {
    this.untouched = true; // neither a hint nor a wrong guess so far
    this.given = 0; // hints
    this.input.value = "";
    this.hints.replaceChildren();
  }

  get question() {
    return this.questions[this.place];
  }

  get hiding() {
    return this.on && Boolean(this.pass && this.question);
  }

  /** The last position that may be seen: the one before the step that is asked for, if any. */
  limit(pass) {
    if (this.on && this.pass !== pass) this.begin(pass);
    return this.hiding ? this.question.position - 1 : Infinity;
  }

  // What the learner does.

  check() {
    const { question, pass, input } = this;
    const typed = typedNumber(input.value);
    if (!typed) return this.refuse(TEXT.predict.noNumber);
    if (agrees(typed, question.value)) {
      this.goOn("right", TEXT.predict.right(this.answer(question)));
      if (this.question) this.input.focus({ preventScroll: true });
      return;
    }
    this.untouched = false;
    this.refuse(TEXT.predict.wrong(input.value.trim(), missed(pass, question, typed)));
  }

  refuse(text) {
    this.say("wrong", text);
    this.actions.say(text);
    this.input.select();
    this.input.focus({ preventScroll: true });
  }

  giveHint() {
    const hints = this.hintsOf(this.question);
    if (this.given === hints.length) return;
    this.untouched = false;
    const hint = element("p", {}, ...hints[this.given++]);
    this.hints.append(hint);
    enable(this.hint, this.given < hints.length);
    this.actions.say(hint.textContent);
  }

  giveAnswer() {
    this.untouched = false;
    this.goOn("shown", TEXT.predict.shown(this.answer(this.question)));
  }

  goOn(result, text) {
    Object.assign(this.question, { result, first: this.untouched });
    this.place++;
    this.ask();
    this.say(result, text);
    this.actions.jump(this.limit(this.pass));
    this.actions.say(`${text} ${this.asked()}`);
    if (!this.question) this.again.focus({ preventScroll: true });
  }

  // What it shows.

  update() {
    setAttribute(this.toggle, "aria-pressed", String(this.on));
    this.section.hidden = !this.on;
    if (!this.on) return;
    const { question, questions } = this;
    const first = questions.filter((one) => one.first).length;
    setText(this.score, questions.length ? TEXT.predict.first(first, questions.length) : "");
    setText(this.title, this.heading());
    const wanted = question || this.pass;
    if (this.built === wanted) return;
    this.built = wanted;
    const { activeElement } = this.section.getRootNode();
    this.body.replaceChildren(...(question ? this.open(question) : this.finished()));
    if (this.body.contains(activeElement)) activeElement.focus({ preventScroll: true });
    if (question) this.actions.follow(question.asked);
  }

  /** Mark the node that is asked for in the picture. */
  mark(picture) {
    const asked = this.hiding ? this.question.asked : -1;
    if (asked < 0 && !this.marked) return;
    this.marked = asked >= 0;
    picture.nodes.forEach(({ group }, i) => group.toggleAttribute("data-asked", i === asked));
  }

  open(question) {
    const { pass, graph } = this;
    const { formula } = graph.nodes[question.node];
    setAttribute(this.input, "aria-label", this.asked());
    enable(this.hint, true);
    const done = this.questions.filter(({ position, result }) =>
      result && position === question.position);
    return [
      equation([nameOf(graph, question.node)], inSymbols(pass, formula)),
      ...done.map((one) => element("p", { class: "answered" }, ...this.wanted(one), " = ",
        gradientNumber(number(one.value)))),
      element("div", { class: "fields" }, span("wanted", ...this.wanted(question), " = "),
        this.input, this.checker),
      ...(question.left ? [note(TEXT.predict.soFar(question.left))] : []),
      this.feedback, this.hints,
      element("div", { class: "fields" }, this.hint, this.show),
    ];
  }

  finished() {
    const { problem } = this.pass;
    if (!this.questions.length) {
      return [note(problem ? TEXT.predict.problem(explained(this.pass)) : TEXT.predict.none)];
    }
    return [this.feedback, note(TEXT.predict.finished), element("div", {}, this.again)];
  }

  say(result, text) {
    this.feedback.dataset.result = result;
    this.feedback.hidden = !text;
    setText(this.feedback, text);
  }

  heading() {
    const { question, questions } = this;
    if (question) return TEXT.predict.title(question.position);
    return questions.length ? TEXT.predict.over : TEXT.predict.mode;
  }

  /** What is asked for, as written before the equals sign. */
  wanted({ phase, asked }) {
    const { graph } = this;
    if (phase === "forward") return [nameOf(graph, asked)];
    return [slope(graph.name(graph.output), graph.name(asked))];
  }

  /** The question as a screen reader says it. */
  asked() {
    const { question, graph } = this;
    if (!question) return this.heading();
    const { phase, node, asked, left } = question;
    return `${this.heading()}. ${TEXT.predict.asks[phase](graph.name(asked), graph.name(node))}`
      + (left ? ` (${TEXT.predict.soFar(left)})` : "");
  }

  answer({ phase, asked, value }) {
    const { graph } = this;
    const name = graph.name(asked);
    const what = phase === "forward" ? name : `∂${graph.name(graph.output)}/∂${name}`;
    return `${what} = ${number(value)}`;
  }

  /** The hints, from the rule to the numbers, each as the children of a paragraph. */
  hintsOf({ phase, node, asked, parts, earlier, before, upstream, value }) {
    const { pass, graph } = this;
    const [output, name, parent] = [graph.output, node, asked].map((i) => graph.name(i));
    if (phase === "forward") {
      return [[`${name} = `, ...inNumbers(pass, node), " = ?"]];
    }
    const products = (left, right) => parts.flatMap((part, k) =>
      [k ? " + " : "", left(), " × ", ...right(part)]);
    const sum = (start, rest) => [...(earlier ? [start, " + "] : []), ...rest];
    const digits = digitsThatAddUp([before, ...parts.map(({ product }) => product)], value);
    const rule = products(() => slope(output, name), () => [slope(name, parent)]);
    const numbers = products(() => gradientNumber(number(upstream, digits)),
      ({ local }) => [dataNumber(grouped(number(local, digits)))]);
    return [
      node === graph.output ? [TEXT.predict.seed(output)]
        : [slope(output, parent), " = ", ...sum(TEXT.predict.received(parent), rule)],
      parts.flatMap(({ edge }, k) => [k ? ", " : "", slope(name, parent), " = ",
        ...inSymbols(pass, edge.symbols)]),
      [slope(output, parent), " = ",
        ...sum(gradientNumber(number(before, digits)), numbers), " = ?"],
    ];
  }
}
