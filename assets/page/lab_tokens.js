// Token by token: how much likelier, or less likely, the child finds each than the parent. The
// tokens are one stop of the Tab key; the arrows move among them.

import { h } from "./dom.js";

const signed = (number) => `${number > 0 ? "+" : number < 0 ? "−" : "±"}${Math.abs(number).toFixed(2)}`;
// Spaces and line ends are tokens too: they are drawn where they are alone.
const visible = (text) => text.replaceAll("\n", "⏎\n").replace(/^ +$/, (all) => "␣".repeat(all.length)) || "∅";
const quoted = (text) => `“${text.replaceAll("\n", "⏎")}”`;

export function tokens(value, { trigger, redraw, local }) {
  if (!value.id) return [];
  if (local.id !== value.id) Object.assign(local, { id: value.id, at: null, asked: null });
  local.text ??= value.text;
  const asking = Boolean(local.asked) && local.asked !== value.answer;
  const ask = (event) => {
    event.preventDefault();
    local.asked = (local.asked || 0) + 1;
    local.at = null;
    trigger("read", { id: value.id, text: local.text, ask: local.asked });
    redraw();
  };
  return [
    h("h3", {}, "Token by token"),
    h("form", { class: "slm-lab-ask", onsubmit: ask },
      h("textarea", { rows: 3, maxlength: value.limit, "aria-label": "Text for both models to read", value: local.text, oninput: (event) => { local.text = event.target.value; } }),
      h("button", { type: "submit", class: "slm-primary", disabled: asking || value.refused ? "" : null }, asking ? "Both models read…" : "Compare")),
    value.refused ? h("p", { class: "slm-quiet" }, value.refused) : null,
    !asking && value.error ? h("p", { class: "slm-error", role: "alert" }, value.error) : null,
    !asking && value.tokens.length ? found(value, { local, redraw }) : null,
  ].filter(Boolean);
}

function found(value, { local, redraw }) {
  const show = (index) => () => { if (local.at !== index) { local.at = index; redraw(); } };
  const move = (event) => {
    const to = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
    if (!to) return;
    event.preventDefault();
    event.target[to]?.focus();
  };
  const at = local.at === null ? null : value.tokens[local.at];
  return h("div", {},
    h("p", { class: "slm-lab-tokens", onkeydown: move, "aria-label": "The text, token by token" }, value.tokens.map((token, index) =>
      h("span", { class: `slm-lab-token ${token.delta < 0 ? "slm-lab-less" : "slm-lab-more"}`, style: `--much:${token.much.toFixed(3)}`, role: "button",
        tabindex: index === (local.at ?? 0) ? 0 : -1, "aria-pressed": String(index === local.at), "aria-label": `${quoted(token.text)} ${signed(token.delta)} nats`,
        onmouseenter: show(index), onfocus: show(index), onclick: show(index) }, visible(token.text)))),
    h("p", { class: "slm-lab-scale slm-quiet" }, "less likely than for the parent", h("span", { class: "slm-num" }, `−${value.most}`), h("span", { class: "slm-lab-ramp slm-lab-diverging", "aria-hidden": "true" }),
      h("span", { class: "slm-num" }, `+${value.most} nats`), "likelier", h("span", { class: "slm-num slm-lab-mean" }, value.mean)),
    h("div", { class: "slm-lab-detail", role: "status" }, at ? detail(value, at) : h("p", { class: "slm-quiet" }, "Point at a token for what both models expected in its place.")));
}

const detail = (value, token) => [
  h("p", { class: "slm-num" }, h("b", {}, quoted(token.text)), ` log-probability ${token.parent.toFixed(2)} for the parent, ${token.child.toFixed(2)} for this model: ${signed(token.delta)} nats`),
  h("div", { class: "slm-lab-tops" }, [[value.names[0], token.parent_top], [value.names[1], token.child_top]].map(([name, rows]) =>
    h("section", {}, h("h4", { class: "slm-quiet" }, name),
      h("ol", { class: "slm-bars" }, rows.map((row) =>
        h("li", { class: row.text === token.text ? "slm-lab-hit" : "" }, h("span", { class: "slm-bars-text" }, quoted(row.text)),
          h("span", { class: "slm-bars-track", "aria-hidden": "true" }, h("span", { style: `width:${(row.share * 100).toFixed(1)}%` })),
          h("span", { class: "slm-num" }, row.percent))))))),
];
