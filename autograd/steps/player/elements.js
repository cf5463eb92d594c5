// How are elements of the page made? Tags with attributes and listeners, icons and buttons.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners (the functions among the attributes) and children. */
function element(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const span = (name, ...children) => element("span", { class: name }, ...children);
const note = (text) => element("p", { class: "note" }, text);

/** Writing costs more than reading, so with hundreds of nodes only what differs is written. */
function setAttribute(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

const ICONS = {
  first: "M6 5v14M19 5 9 12l10 7z",
  back: "M17 5 7 12l10 7z",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  next: "M7 5l10 7-10 7z",
  last: "M18 5v14M5 5l10 7-10 7z",
  zoomIn: "M12 6v12M6 12h12",
  zoomOut: "M6 12h12",
  fit: "M3 5h18v14H3zM7 12h10M9.5 9.5 7 12l2.5 2.5M14.5 9.5 17 12l-2.5 2.5",
  present: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  leave: "M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5",
  close: "M6 6l12 12M18 6 6 18",
};

function icon(name) {
  const frame = { viewBox: "0 0 24 24", class: `icon ${name}`, "aria-hidden": "true" };
  return element("svg:svg", frame, element("svg:path", { d: ICONS[name] }));
}

/** A button that stays focusable when disabled: losing the focus would lose the keyboard. */
function button(name, onClick) {
  const labels = { "aria-label": TEXT[name], title: TEXT[name] };
  const attributes = { type: "button", class: `button ${name}`, ...labels, click: onClick };
  return element("button", attributes, icon(name));
}

/** Give a button the label and the icon of another action. */
function rename(target, name) {
  setAttribute(target, "title", TEXT[name]);
  setAttribute(target, "aria-label", TEXT[name]);
  target.replaceChildren(icon(name));
}

/** A button with a text on it. */
function worded(text, onClick) {
  const attributes = { type: "button", class: "button", "aria-label": text, click: onClick };
  return element("button", attributes, text);
}

const enable = (target, enabled) => setAttribute(target, "aria-disabled", String(!enabled));
