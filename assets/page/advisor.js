// The advisor: what is wished for, three choices with their reasons, and what was ruled out.

import { button, h } from "./dom.js";
import { exploreOnly } from "./catalog_state.js";

const LIGHTS = { fits: "good", tight: "warn", "too big": "bad", "n/a": "none" };

export function advisor(value, { trigger, local }) {
  local.wish ||= Object.fromEntries(value.fields.map((field) => [field.name, field.value]));
  const choose = (name) => (event) => {
    local.wish = { ...local.wish, [name]: event.target.value };
    trigger("wish", local.wish);
  };
  return [
    h("div", { class: "slm-wish" }, value.fields.map((field) =>
      h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, field.label),
        h("select", { "aria-label": field.label, onchange: choose(field.name) }, field.options.map(([key, text]) =>
          h("option", { value: key, selected: key === field.value ? "" : null }, text)))))),
    h("div", { role: "status" },
      value.error ? h("p", { class: "slm-error" }, value.error) : null,
      !value.error && !value.choices.length ? h("p", {}, "No model of the catalog meets all of this: what was ruled out, and why, is below.") : null),
    h("div", { class: "slm-advice" }, value.choices.map((choice, index) =>
      h("article", { "data-id": choice.id, key: choice.id },
        h("h3", {}, `${index + 1}. ${choice.name}`),
        h("p", { class: "slm-num" }, h("strong", {}, `as ${choice.recipe}`), " · ", h("span", { class: `slm-light slm-${LIGHTS[choice.verdict]}` }, choice.verdict)),
        h("p", { class: "slm-quiet slm-num" }, choice.figures.join(" · ")),
        h("ul", {}, choice.reasons.map(([text, kind]) => h("li", {}, text, h("span", { class: "slm-chip" }, kind)))),
        button("Show its card", `Show ${choice.name} in Explore`, () => {
          exploreOnly(choice.name, [choice.id]);
          trigger("choose", { id: choice.id });
        })))),
    value.others ? h("p", { class: "slm-quiet" }, `${value.others} more would do, and come after these.`) : null,
    value.ruled_out.length
      ? h("details", { class: "slm-fold" },
          h("summary", {}, `Ruled out: ${value.ruled_out.reduce((sum, each) => sum + each.models.length, 0)} models`),
          h("ul", { class: "slm-ruled" }, value.ruled_out.map((each) =>
            h("li", {}, each.reason, h("span", { class: "slm-chip" }, `${each.models.length}`), h("div", { class: "slm-quiet" }, each.models.join(", "))))))
      : null,
    value.notes.length ? h("ul", { class: "slm-ruled slm-quiet" }, value.notes.map((note) => h("li", {}, note))) : null,
  ].filter(Boolean);
}
