// Up to six models beside each other; what differs is marked.

import { button, h } from "./dom.js";
import { MOST, bytes, change, follow, light, openPart, state, togglePick, verdict } from "./catalog_state.js";

export function compare(value, { trigger, redraw, local }) {
  follow(local, redraw);
  const clear = () => { change({ picks: [] }); trigger("pick", { ids: [] }); };
  const others = Object.entries(state.names).filter(([id]) => !state.picks.includes(id));
  const full = state.picks.length >= MOST;
  return [
    h("div", { class: "slm-compare-tools" },
      // A new one after each choice, so that it says what it is for again.
      h("select", { key: `add-${state.picks.join()}`, "aria-label": "Add a model", disabled: full ? "" : null,
        onchange: (event) => togglePick(event.target.value, trigger) },
        h("option", { value: "" }, full ? `${MOST} models is the most` : "Add a model…"),
        others.map(([id, name]) => h("option", { value: id }, name))),
      value.models.length > 1
        ? button(local.only ? "Show all rows" : "Differences only", "Hide the rows in which all are alike", () => { local.only = !local.only; redraw(); },
            { class: local.only ? "slm-button slm-on" : "slm-button", "aria-pressed": String(!!local.only) })
        : null,
      value.models.length ? button("Clear", "Compare none", clear) : null),
    value.models.length ? table(value, trigger, local) : h("p", { class: "slm-quiet" }, `Choose up to ${MOST} models: here, by the + of a row in Explore, or on a card.`),
  ];
}

function table(value, trigger, local) {
  const open = (id) => { change({ chosen: id }); trigger("choose", { id }); openPart("Explore"); };
  const estimates = value.models.map(({ id }) => state.fit.fits[id] || [3, "not estimated"]);
  const apart = (list) => (value.models.length > 1 && new Set(list).size > 1 ? "slm-differs" : "");
  return h("div", { class: "slm-compare-scroll" },
    h("table", { class: "slm-compare-table" },
      h("thead", {}, h("tr", {}, h("td", {}), value.models.map(({ id, name }) =>
        h("th", { scope: "col" },
          h("button", { type: "button", class: "slm-link", title: "Open its card", onclick: () => open(id) }, name), " ",
          button("✕", `Take ${name} out`, () => togglePick(id, trigger), { class: "slm-button slm-out", "aria-label": `Take ${name} out` }))))),
      h("tbody", {},
        h("tr", { class: apart(value.models.map(({ id }) => verdict(id))) }, h("th", { scope: "row" }, "Fits ", state.fit.limit_text || ""),
          value.models.map(({ id }) => h("td", {}, h(...light(verdict(id)))))),
        h("tr", { class: apart(estimates.map((row) => row[2])) }, h("th", { scope: "row" }, "Estimated memory"),
          estimates.map((row) => h("td", { class: "slm-num" }, row[0] === 3 ? `n/a: ${row[1]}` : `${bytes(row[2])} (${bytes(row[1])} to ${bytes(row[3])})`))),
        value.groups.map((group) => {
          const rows = group.rows.filter((row) => !local.only || row.differs);
          return rows.length ? [
            h("tr", { class: "slm-group" }, h("th", { scope: "row" }, group.title), value.models.map(() => h("td", {}))),
            rows.map((row) =>
              h("tr", { class: row.differs ? "slm-differs" : "", title: row.differs ? "These models differ here" : null },
                h("th", { scope: "row" }, row.label),
                row.cells.map((cell) => h("td", { title: cell.source || null }, h("span", { class: "slm-num" }, cell.text),
                  cell.verified ? null : h("span", { class: "slm-chip slm-warn", title: cell.source }, "from memory")))))]
            : null;
        }))));
}
