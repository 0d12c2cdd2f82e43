// The catalog's table: searched, filtered and sorted here, on rows that were sent once.

import { button, h } from "./dom.js";
import { find, index, toggleFacet } from "./catalog_search.js";
import { MOST, change, follow, light, openPart, state, togglePick, verdict } from "./catalog_state.js";

// [key, title, cell, sorted by, a number?]; the name is always shown.
const COLUMNS = [
  ["name", "Model", null, (row) => row.name],
  ["fit", "Fits", (row) => h(...light(verdict(row.id))), (row) => [0, 1, 2, null][verdict(row.id)]],
  ["parameters", "Parameters", (row) => row.parameters_text, (row) => row.parameters, true],
  ["release", "Released", (row) => row.release || "n/a", (row) => row.release],
  ["kind", "Kind", (row) => row.kind, (row) => row.kind],
  ["family", "Family", (row) => row.family, (row) => row.family],
  ["organisation", "Maker", (row) => row.organisation, (row) => row.organisation],
  ["use", "Commercial use", (row) => row.use, (row) => row.use],
  ["licence", "Licence", (row) => row.licence, (row) => row.licence],
  ["context", "Context", (row) => row.context_text, (row) => row.context, true],
  ["attention", "Attention", (row) => row.attention.join(", ") || "n/a", (row) => row.attention.join() || null],
  ["kv", "KV cache, 1 k tokens", (row) => row.kv_text, (row) => row.kv, true],
  ["layers", "Layers", (row) => row.layers ?? "n/a", (row) => row.layers, true],
  ["hidden", "Width", (row) => row.hidden ?? "n/a", (row) => row.hidden, true],
];
const FIRST = ["fit", "parameters", "release", "kind", "use", "context", "attention"];

export function catalog(value, { trigger, redraw, local }) {
  follow(local, redraw);
  if (local.rows !== value.rows) {
    local.rows = value.rows;
    local.all = value.rows.map((row) => ({ ...row, index: index(row) }));
    local.columns ||= FIRST;
    local.sort ||= { key: null, down: false };
    local.query ||= "";
    if (!state.chosen && value.rows.length) state.chosen = value.rows[0].id;
    state.names = Object.fromEntries(value.rows.map((row) => [row.id, row.name]));
  }
  const { shown, facets } = find(local.all, local.query, value.orders);
  if (local.sort.key) shown.sort(by(local.sort));
  const columns = COLUMNS.filter(([key]) => key === "name" || local.columns.includes(key));
  return [
    h("div", { class: "slm-filters" },
      h("input", { type: "search", placeholder: "Search name, family, maker, licence, task…", "aria-label": "Search the catalog",
        value: "", oninput: (event) => { local.query = event.target.value; redraw(); },
        onkeydown: (event) => arrows(event) }),
      h("span", { class: "slm-quiet slm-num", role: "status" }, `${shown.length} of ${local.all.length}`),
      menu("Columns", COLUMNS.slice(1).map(([key, title]) => ({ key, title, on: local.columns.includes(key) })),
        (key) => { local.columns = local.columns.includes(key) ? local.columns.filter((k) => k !== key) : [...local.columns, key]; redraw(); }),
      button(`Compare ${state.picks.length}`, `The models chosen to compare, up to ${MOST}`, () => openPart("Compare"), { class: "slm-button slm-to-compare" })),
    h("div", { class: "slm-facets", role: "group", "aria-label": "Filters" }, facets.map((facet) => filter(facet))),
    chosen(),
    h("div", { class: "slm-scroll" },
      h("table", { class: "slm-table" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "slm-pick-head", title: "Compare" }, "⇄"), columns.map((column) => head(column, local, redraw)))),
        h("tbody", {}, shown.map((row) => line(row, columns, trigger)))),
      shown.length ? null : h("p", { class: "slm-quiet slm-nothing" }, "No model matches: take a filter away or search for fewer words.")),
  ];
}

// From the search down into the rows.
function arrows(event) {
  if (event.key !== "ArrowDown") return;
  event.preventDefault();
  document.querySelector("#slm-catalog tbody .slm-link")?.focus();
}

function step(event) {
  const way = { ArrowDown: "nextSibling", ArrowUp: "previousSibling" }[event.key];
  const other = way && event.currentTarget[way];
  if (!other) return;
  event.preventDefault();
  other.querySelector(".slm-link").focus();
}

const option = (title, count, on, onclick) =>
  h("button", { type: "button", class: "slm-option", role: "menuitemcheckbox", "aria-checked": String(on), onclick,
    disabled: count === 0 && !on ? "" : null },
    h("span", { class: "slm-tick", "aria-hidden": "true" }, on ? "✓" : ""), h("span", {}, title),
    count === null ? null : h("span", { class: "slm-quiet slm-num" }, String(count)));

// One menu is open at a time: they share a name.
const fold = (title, mark, options) =>
  h("details", { class: "slm-menu", name: "slm-menu", onkeydown: escape },
    h("summary", { class: mark ? "slm-button slm-on" : "slm-button" }, title, mark ? h("b", { class: "slm-num" }, ` ${mark}`) : null),
    h("div", { role: "menu", "aria-label": title }, options));

const menu = (title, entries, toggle) =>
  fold(title, 0, entries.map((each) => option(each.title, null, each.on, () => toggle(each.key))));

function filter({ key, title, values }) {
  const on = state.facets[key] || [];
  return fold(title, on.length, values.map(({ value, count }) =>
    option(value, count, on.includes(value), () => { toggleFacet(key, value); change({}); })));
}

function escape(event) {
  if (event.key !== "Escape" || !event.currentTarget.open) return;
  event.stopPropagation();
  event.preventDefault();
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}

document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.slm-menu[open]"))
    if (!open.contains(event.target)) open.open = false;
});

function chosen() {
  const chips = Object.entries(state.facets).flatMap(([key, values]) =>
    values.map((value) => drop(value, () => { toggleFacet(key, value); change({}); })));
  if (state.only) chips.unshift(drop(state.only.title, () => change({ only: null })));
  if (!chips.length) return h("p", { class: "slm-chosen-facets", hidden: "" });
  return h("p", { class: "slm-chosen-facets" }, chips,
    button("Clear all", "Take every filter away", () => change({ facets: {}, only: null })));
}

const drop = (text, onclick) =>
  h("button", { type: "button", class: "slm-chip slm-drop", title: `Take the filter “${text}” away`, onclick }, text, " ✕");

function by({ key, down }) {
  const rank = COLUMNS.find(([each]) => each === key)[3];
  const sign = down ? -1 : 1;
  return (a, b) => {
    const [x, y] = [rank(a), rank(b)];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1; // unknown comes last
    return sign * (typeof x === "number" ? x - y : String(x).localeCompare(String(y)));
  };
}

function head([key, title, , , number], local, redraw) {
  const sorted = local.sort.key === key;
  const click = () => { local.sort = { key, down: sorted && !local.sort.down }; redraw(); };
  return h("th", { class: number ? "slm-right" : "", scope: "col",
    "aria-sort": sorted ? (local.sort.down ? "descending" : "ascending") : "none" },
    h("button", { type: "button", onclick: click }, title, sorted ? (local.sort.down ? " ↓" : " ↑") : ""));
}

const TITLES = { fit: (row) => fitTitle(row.id), attention: (row) => row.attention_text, use: (row) => row.conditions, licence: (row) => row.licence };

function fitTitle(id) {
  const [code, low, expected, high] = state.fit.fits[id] || [3, "not estimated"];
  return code === 3 ? `n/a: ${low}` : `${(expected / 1e9).toFixed(2)} GB estimated (${(low / 1e9).toFixed(2)} to ${(high / 1e9).toFixed(2)}) of ${state.fit.limit_text}`;
}

function line(row, columns, trigger) {
  const open = () => { change({ chosen: row.id }); trigger("choose", { id: row.id }); };
  const picked = state.picks.includes(row.id);
  return h("tr", { class: row.id === state.chosen ? "slm-chosen" : "", onclick: open, "data-id": row.id, onkeydown: step },
    h("td", {}, h("button", { type: "button", class: picked ? "slm-pick slm-on" : "slm-pick", "aria-pressed": String(picked),
      disabled: !picked && state.picks.length >= MOST ? "" : null,
      "aria-label": `Compare ${row.name}`, title: picked ? "Take it out of the comparison" : `Compare it with others, up to ${MOST}`,
      onclick: (event) => { event.stopPropagation(); togglePick(row.id, trigger); } }, picked ? "✓" : "+")),
    columns.map(([key, , cell, , number]) =>
      key === "name"
        ? h("td", {}, h("button", { type: "button", class: "slm-link", "aria-current": row.id === state.chosen ? "true" : null }, row.name),
            row.shipped ? h("span", { class: "slm-chip" }, "shipped") : null)
        : h("td", { class: number ? "slm-right slm-num" : "slm-clip", title: TITLES[key] ? TITLES[key](row) : null }, cell(row))));
}

