// What the lights are for: a device, a precision and a context; and a card's estimate as a bar.

import { h } from "./dom.js";
import { bytes, change, light, state } from "./catalog_state.js";

export function fit(value, { trigger, local }) {
  if (state.fit !== value) {
    state.fit = value;
    queueMicrotask(() => change({})); // the others draw after this one
  }
  local.choice ||= { device: value.device, recipe: value.recipe, context: value.context };
  const choose = (name, options, label) =>
    h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, label),
      h("select", { "aria-label": label, onchange: (event) => {
        const text = event.target.value;
        local.choice = { ...local.choice, [name]: name === "context" ? Number(text) : text };
        trigger("fit", local.choice);
      } }, options.map(([key, title]) => h("option", { value: key, selected: key === local.choice[name] ? "" : null }, title))));
  const codes = Object.values(value.fits).map((row) => row[0]);
  const count = (code) => codes.filter((each) => each === code).length;
  return [
    h("div", { class: "slm-fit-row" },
      choose("device", value.devices, "Does it fit"),
      choose("recipe", value.recipes, "loaded as"),
      choose("context", value.contexts.map((tokens) => [tokens, `${tokens.toLocaleString("en")} tokens`]), "with a context of"),
      h("span", { class: "slm-quiet slm-num", role: "status", title: value.limit_title || null }, `${value.limit_text}: ${count(0)} fit, ${count(1)} tight, ${count(2)} too big`)),
  ];
}

const PARTS = [[4, "weights"], [5, "KV cache"], [6, "activations"], [7, "process"]];

// The estimate's interval on a scale to the limit or beyond, and the measured peak beside it.
export function estimate(id, peaks) {
  const row = state.fit.fits[id];
  if (!row) return null;
  const [code, low, expected, high] = row;
  if (code === 3) return h("p", { class: "slm-estimate" }, h(...light(3, `n/a: ${low}`)));
  const limit = state.fit.limit;
  const measured = peaks.map((peak) => peak.bytes);
  const scale = Math.max(limit, high, ...measured) * 1.02;
  const at = (count) => `${((100 * count) / scale).toFixed(2)}%`;
  const recipe = state.fit.recipes.find(([key]) => key === state.fit.recipe);
  const device = state.fit.devices.find(([key]) => key === state.fit.device);
  return h("section", { class: "slm-estimate", "aria-label": "Will it fit?" },
    h("p", {}, h(...light(code)), ` ${bytes(expected)} estimated, between ${bytes(low)} and ${bytes(high)}; the limit is ${bytes(limit)}`),
    h("div", { class: "slm-range", role: "img", "aria-label": `From ${bytes(low)} to ${bytes(high)} of ${bytes(limit)}` },
      h("span", { class: "slm-range-limit", style: `width:${at(limit)}`, title: `limit ${bytes(limit)}` }),
      h("span", { class: `slm-range-span slm-range-${["good", "warn", "bad"][code]}`, style: `left:${at(low)};width:max(3px,${at(high - low)})`, title: `${bytes(low)} to ${bytes(high)}` }),
      h("span", { class: "slm-range-mark", style: `left:${at(expected)}`, title: `expected ${bytes(expected)}` }),
      peaks.map((peak) => h("span", { class: "slm-range-peak", style: `left:${at(peak.bytes)}`, title: peak.title }))),
    h("p", { class: "slm-quiet slm-num" }, `${device ? device[1] : ""}, ${recipe ? recipe[1] : ""}, ${state.fit.context.toLocaleString("en")} tokens: `,
      PARTS.map(([at, name]) => `${name} ${bytes(row[at])}`).join(", ")),
    peaks.length
      ? h("p", { class: "slm-num" }, "Measured here: ", peaks.map((peak, i) => h("span", { title: peak.title }, `${i ? "; " : ""}${peak.text}`)))
      : h("p", { class: "slm-quiet" }, "Not measured on this machine yet."));
}
