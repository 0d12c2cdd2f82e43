// Describe elements with h(), make the page so with patch(): changes what differs, in place, so
// that focus, selection and open folds survive an update. Text always becomes a text node:
// whatever a model, a card or a visitor writes, none of it is ever parsed as HTML or script.
// (Gradio's own templates would evaluate a `${...}` that a model writes.)

const SVG = new Set(["svg", "polyline", "polygon", "line", "rect", "circle", "text", "title"]);

export const h = (tag, props, ...children) => ({
  tag,
  props: props || {},
  children: children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false),
});

function create(want) {
  const node = SVG.has(want.tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", want.tag)
    : document.createElement(want.tag);
  node.wanted = {};
  // An input's own text belongs to whoever types in it: it is given once.
  if ("value" in want.props) node.value = want.props.value;
  update(node, want);
  return node;
}

function update(node, want) {
  for (const name of Object.keys(node.wanted))
    if (!(name in want.props)) name.startsWith("on") ? (node[name] = null) : node.removeAttribute(name);
  for (const [name, value] of Object.entries(want.props)) {
    if (name === "value" || name === "key" || name === "focus") continue;
    if (name.startsWith("on")) node[name] = value;
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  node.wanted = want.props;
  patch(node, want.children);
}

function setText(node, text) {
  if (node.data === text) return;
  // Appending keeps a selection that the reader has made in text that is still being written.
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}

export function patch(parent, wanted) {
  wanted.forEach((want, index) => {
    const have = parent.childNodes[index];
    if (typeof want !== "object") {
      if (have && have.nodeType === 3) return setText(have, String(want));
      const text = document.createTextNode(String(want));
      return have ? have.replaceWith(text) : parent.append(text);
    }
    const same =
      have && have.wanted && have.localName === want.tag && have.wanted.key === want.props.key;
    if (same) return update(have, want);
    const made = create(want);
    have ? have.replaceWith(made) : parent.append(made);
    if (want.props.focus) made.focus();
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

// A button that says what it does to the eye and to a screen reader.
export const button = (text, title, onclick, extra = {}) =>
  h("button", { type: "button", class: "slm-button", title, onclick, ...extra }, text);

// `fraction` 0..1 of something; null where it is not known.
export const bar = (fraction, label) =>
  h("span", { class: "slm-bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-valuenow": fraction === null ? null : Math.round(fraction * 100) },
    fraction === null ? null : h("span", { style: `width:${Math.min(100, fraction * 100).toFixed(1)}%` }));

export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  // Plain http on a local network has no clipboard; the old way needs a selection.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
