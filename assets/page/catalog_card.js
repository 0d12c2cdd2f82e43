// The card of one model: what it is, whether it fits, how it is built, and where each fact
// comes from.

import { button, copy, h } from "./dom.js";
import { estimate } from "./catalog_fit.js";
import { drawing } from "./catalog_shape.js";
import { MOST, follow, openPart, state, togglePick } from "./catalog_state.js";
import { correction } from "./catalog_claims.js";

export function card(value, { trigger, redraw, local }) {
  follow(local, redraw);
  if (!value.id) return [h("p", { class: "slm-quiet" }, "Choose a model to see its card.")];
  const picked = state.picks.includes(value.id);
  return [
    h("header", { class: "slm-card-head" },
      h("h2", {}, value.name),
      h("button", { type: "button", class: "slm-primary", disabled: value.reason ? "" : null, title: value.reason || "Put it into a lane",
        onclick: () => trigger("open_chat", { id: value.id }) }, "Open in Chat"),
      button(picked ? "Compared ✓" : "Compare", `Put it beside others, up to ${MOST}`, () => togglePick(value.id, trigger),
        { class: picked ? "slm-button slm-on" : "slm-button", "aria-pressed": String(picked), disabled: !picked && state.picks.length >= MOST ? "" : null })),
    h("p", { class: "slm-quiet" }, [value.kind, `by ${value.organisation}`, value.shipped ? "shipped with the app" : null,
      value.uses.length ? `for ${value.uses.map((use) => use.toLowerCase()).join(", ")}` : null].filter(Boolean).join(" · ")),
    value.reason ? h("p", { class: "slm-quiet slm-reason" }, value.reason) : null,
    value.notes ? h("p", {}, value.notes) : null,
    estimate(value.id, value.peaks || []),
  ];
}

const unverified = (fact) => (fact.verified ? null : h("span", { class: "slm-chip slm-warn", title: fact.source }, "from memory, unverified"));

const facts = (list) =>
  h("dl", { class: "slm-facts" }, list.map((fact) => [
    h("dt", {}, fact.label),
    h("dd", {}, h("span", { class: "slm-num", title: fact.source }, fact.text), unverified(fact))]));

const fold = (title, open, ...inside) => h("details", { class: "slm-fold", open: open ? "" : null }, h("summary", {}, title), inside);

export function details(value) {
  if (!value.id) return [];
  const all = [...value.facts, ...value.numbers, ...value.marks];
  return [
    licence(value.licence),
    value.shape ? [h("h3", {}, "Its blocks"), drawing(value.shape)] : null,
    h("h3", {}, "Where its parameters are"),
    value.components ? components(value.components) : h("p", { class: "slm-quiet" }, "n/a: not counted by part for this kind of model."),
    value.methods.length
      ? [h("h3", {}, "How it became small"),
         h("p", { class: "slm-chips" }, value.methods.map((method) =>
           button(method.name, "What this way is, and who else uses it", () => openPart("How they become small"))))]
      : null,
    value.claims.length
      ? [h("h3", {}, "Often said about it, and wrong"), value.claims.map((each) => correction(each))]
      : null,
    value.use_cases || value.strengths
      ? [h("h3", {}, "What it is for"), said("Uses", value.use_cases), said("Said to be good at", value.strengths)]
      : null,
    value.code.map((each) =>
      fold(`As code: ${each.use.toLowerCase()}`, false,
        h("div", { class: "slm-actions" }, button("Copy", "Copy the code", () => copy(each.text))),
        h("pre", { class: "slm-snippet", tabindex: 0 }, h("code", {}, each.text)))),
    h("h3", {}, "Facts"),
    facts(value.facts),
    value.numbers.length ? fold("Its numbers, as in its config", false, facts(value.numbers)) : null,
    value.marks.length ? fold("Published figures (different harnesses do not compare)", true, facts(value.marks)) : null,
    fold("Where each fact comes from", false,
      h("dl", { class: "slm-facts slm-sources" }, all.filter((fact) => fact.source).map((fact) => [
        h("dt", {}, fact.label), h("dd", {}, fact.source)]))),
  ];
}

const said = (title, list) =>
  list ? h("p", {}, h("span", { class: "slm-quiet" }, `${title}: `), list.items.join(", "), unverified(list)) : null;

const licence = (value) =>
  h("section", { class: "slm-licence" },
    h("p", {}, h("span", { class: `slm-light slm-${value.light}` }, h("b", {}, value.name), `: commercial use ${value.use}`), unverified(value)),
    h("p", { class: "slm-quiet", title: value.source }, value.conditions, value.access ? ` ${value.access}` : ""));

export const components = (value) =>
  h("div", { class: "slm-components" },
    h("div", { class: "slm-stacked", role: "img", "aria-label": value.parts.map((part) => part.title).join(", ") },
      value.parts.map((part) => h("span", { class: `slm-part-${part.id}`, style: `flex-grow:${Math.max(0.004, part.share)}`, title: part.title }))),
    h("p", { class: "slm-legend" }, value.parts.map((part) =>
      h("span", { title: part.title }, h("i", { class: `slm-part-${part.id}` }), `${part.name} `,
        h("span", { class: "slm-num" }, `${part.text}, ${(100 * part.share).toFixed(part.share < 0.01 ? 2 : 0)} %`)))),
    value.note ? h("p", { class: "slm-quiet" }, value.note) : null);
