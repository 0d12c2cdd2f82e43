// The catalog: a table that searches, filters and sorts in the browser, and the chosen card.

import { h } from "./dom.js";

const COLUMNS = [
  ["name", "Model"], ["family", "Family"], ["kind", "Kind"], ["parameters", "Parameters"],
  ["license", "Licence"], ["context", "Context"], ["attention", "Attention"], ["fit", "Fits here"],
];
const NUMBERS = new Set(["parameters", "context"]);

export function catalog(value, { trigger, redraw, local }) {
  local.sort = local.sort || { key: null, down: false };
  local.query = local.query || "";
  local.kind = local.kind || "";
  local.only = local.only || "";
  const words = local.query.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = value.rows.filter((row) =>
    words.every((word) => row.text.includes(word)) &&
    (!local.kind || row.kind === local.kind) &&
    (!local.only || row[local.only]));
  if (local.sort.key) shown.sort(by(local.sort));
  const kinds = [...new Set(value.rows.map((row) => row.kind))].sort();
  return [
    h("div", { class: "slm-filters" },
      h("input", { type: "search", placeholder: "Search name, family, licence, task…", "aria-label": "Search the catalog",
        value: "", oninput: (event) => { local.query = event.target.value; redraw(); } }),
      choose("Kind", [["", "All kinds"], ...kinds.map((kind) => [kind, kind])], (v) => { local.kind = v; redraw(); }),
      choose("Show", [["", "All models"], ["runs", "Runs here now"], ["fits", "Fits this machine"], ["shipped", "Shipped"]],
        (v) => { local.only = v; redraw(); }),
      h("span", { class: "slm-quiet slm-num", role: "status" }, `${shown.length} of ${value.rows.length}`)),
    h("div", { class: "slm-scroll" },
      h("table", { class: "slm-table" },
        h("thead", {}, h("tr", {}, COLUMNS.map(([key, title]) => head(key, title, local, redraw)))),
        h("tbody", {}, shown.map((row) => line(row, local, trigger, redraw))))),
  ];
}

const choose = (label, options, onchange) =>
  h("select", { "aria-label": label, onchange: (event) => onchange(event.target.value) },
    options.map(([value, text]) => h("option", { value }, text)));

function by({ key, down }) {
  const sign = down ? -1 : 1;
  const rank = (row) => (key === "fit" ? row.fit_order : row[key]);
  return (a, b) => {
    const [x, y] = [rank(a), rank(b)];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1; // unknown comes last
    return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
  };
}

function head(key, title, local, redraw) {
  const sorted = local.sort.key === key;
  const click = () => { local.sort = { key, down: sorted && !local.sort.down }; redraw(); };
  return h("th", { class: NUMBERS.has(key) ? "slm-right" : "", scope: "col",
    "aria-sort": sorted ? (local.sort.down ? "descending" : "ascending") : "none" },
    h("button", { type: "button", onclick: click }, title, sorted ? (local.sort.down ? " ↓" : " ↑") : ""));
}

function line(row, local, trigger, redraw) {
  const open = () => { local.chosen = row.id; redraw(); trigger("choose", { id: row.id }); };
  return h("tr", { class: row.id === local.chosen ? "slm-chosen" : "", onclick: open, "data-id": row.id },
    h("td", {}, h("button", { type: "button", class: "slm-link" }, row.name),
      row.shipped ? h("span", { class: "slm-chip" }, "shipped") : null),
    h("td", {}, row.family), h("td", {}, row.kind),
    h("td", { class: "slm-right slm-num" }, row.parameters_text),
    h("td", { class: "slm-clip", title: row.license }, row.license || "n/a"),
    h("td", { class: "slm-right slm-num" }, row.context_text),
    h("td", { class: "slm-clip", title: row.attention }, row.attention || "n/a"),
    h("td", {}, h("span", { class: `slm-light slm-${row.light}`, title: row.fit_title }, row.fit)));
}

export function card(value, { trigger }) {
  if (!value.id) return [h("p", { class: "slm-quiet" }, "Choose a model to see its card.")];
  return [
    h("header", { class: "slm-card-head" }, h("h2", {}, value.name),
      h("button", { type: "button", class: "slm-primary", disabled: value.reason ? "" : null, title: value.reason || "Put it into a lane",
        onclick: () => trigger("open_chat", { id: value.id }) }, "Open in Chat")),
    value.reason ? h("p", { class: "slm-quiet" }, value.reason) : null,
    h("p", { class: `slm-light slm-${value.light}` }, value.fit),
    value.notes ? h("p", {}, value.notes) : null,
    h("dl", { class: "slm-facts" }, value.facts.map((fact) => [
      h("dt", {}, fact.label),
      h("dd", {}, h("span", { class: "slm-num", title: fact.source }, fact.text),
        fact.verified ? null : h("span", { class: "slm-chip slm-warn", title: fact.source }, "from memory, unverified"))])),
    h("details", {}, h("summary", {}, "Where each fact comes from"),
      h("dl", { class: "slm-facts slm-sources" }, value.facts.filter((fact) => fact.source).map((fact) => [
        h("dt", {}, fact.label), h("dd", {}, fact.source)]))),
  ];
}
