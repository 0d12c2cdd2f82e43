// What a run gained and lost: sentences, bars, a table, and ways out of the house.

import { button, copy, h } from "./dom.js";

export function report(value, { trigger, redraw, local }) {
  const it = value.report;
  return h("section", { class: "slm-lab-report", "aria-label": "Report" },
    h("ul", { class: "slm-lab-verdicts" }, it.verdicts.map((each) => h("li", { "data-claim": each.claim }, each.text))),
    h("div", { class: "slm-lab-out" },
      it.pair ? button("Open the pair in Chat", "The parent and this model in two lanes", () => trigger("open_pair", { ids: it.ids }), { class: "slm-primary" }) : null,
      it.links.map((link) => h("a", { class: "slm-button", href: new URL(link.href, document.baseURI).href, download: link.name, title: link.title }, link.text)),
      it.code ? button("Python", "The lines that load it", () => { local.code = !local.code; redraw(); }, { "aria-expanded": String(Boolean(local.code)) }) : null),
    local.code && it.code ? h("div", { class: "slm-code" }, h("pre", { tabindex: 0 }, it.code), button("Copy", "Copy the lines", () => copy(it.code))) : null,
    h("div", { class: "slm-lab-bars" }, it.bars.map(bars)),
    h("div", { class: "slm-lab-frame" }, h("table", { class: "slm-table slm-lab-table" },
      h("thead", {}, h("tr", {}, ["", "parent", "child", "change"].map((each) => h("th", { scope: "col" }, each)))),
      h("tbody", {}, it.table.map((row) => h("tr", { title: row.how },
        h("th", { scope: "row" }, row.label), h("td", { class: "slm-num" }, row.before), h("td", { class: "slm-num" }, row.after), h("td", { class: "slm-num" }, row.change)))))),
    it.notes.map((text) => h("p", { class: "slm-quiet" }, text)),
    it.push ? push(value, it.push, { trigger, local, redraw }) : null);
}

// One measure of both: the longer bar fills the width, the spread is a line on its end.
function bars(each) {
  const share = (number) => `${(100 * number / each.most).toFixed(1)}%`;
  return h("section", { class: "slm-lab-bar", title: each.how, tabindex: 0, "aria-label": `${each.label}: ${each.rows.map((row) => `${row.who} ${row.text}`).join(", ")}. ${each.how}` },
    h("h3", {}, each.label, h("span", { class: "slm-quiet" }, ` ${each.better}`)),
    each.rows.map((row) => h("div", { class: `slm-lab-${row.who === "parent" ? "before" : "after"}` },
      h("span", { class: "slm-label" }, row.who),
      h("span", { class: "slm-lab-track" },
        row.value === null ? null : h("span", { class: "slm-lab-length", style: `width:${share(row.value)}` }),
        row.low === null ? null : h("span", { class: "slm-lab-spread", style: `left:${share(row.low)};width:${share(row.high - row.low)}` })),
      h("span", { class: "slm-num" }, row.text))),
    h("p", { class: "slm-quiet slm-lab-how" }, each.how));
}

function push(value, info, { trigger, local, redraw }) {
  const send = (event) => {
    event.preventDefault();
    local.pushed = info.answer;
    trigger("push", { id: value.id, hub_id: local.hub_id || "" });
    redraw();
  };
  const asking = local.pushed === info.answer;
  return h("details", { class: "slm-fold" }, h("summary", {}, "Push it to the Hub"),
    h("form", { class: "slm-hub-form", onsubmit: send },
          h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, "as"),
            h("input", { type: "text", "aria-label": "Repository on the Hub", placeholder: "you/model", value: "", spellcheck: "false", autocapitalize: "off", oninput: (event) => { local.hub_id = event.target.value; } })),
          h("button", { type: "submit", class: "slm-primary", disabled: asking ? "" : null }, asking ? "Sending…" : "Push with this machine's token")),
    info.said ? h("p", { role: "status" }, info.said) : null,
    info.error ? h("p", { class: "slm-error", role: "alert" }, info.error) : null);
}
