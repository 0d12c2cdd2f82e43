// Energy since the start, how it is known, and carbon only for a grid that the reader names.

import { h } from "./dom.js";

// Bounds of what a grid can be; outside of them somebody has mistyped.
const MOST_GRAMS = 2000;

function carbon(value, grams) {
  if (!(grams > 0 && grams <= MOST_GRAMS)) return null;
  if (value.joules_low === null) return "n/a: the energy is not known";
  const [low, high] = [value.joules_low, value.joules_high].map((joules) => ((joules / 3.6e6) * grams * 1000).toPrecision(3));
  return `${low === high ? low : `${low} to ${high}`} mg CO₂e at ${grams} g/kWh`;
}

export function energy(value, { local, redraw }) {
  const grams = Number(local.grams);
  return h("section", { class: "slm-meter", id: "slm-meter-energy" },
    h("header", {}, h("h3", {}, "Energy of all answers"), h("span", { class: "slm-num slm-value" }, value.text)),
    h("p", {}, value.session),
    h("p", { class: "slm-quiet" }, `Processor: ${value.method}. ${value.idle}`),
    h("p", { class: "slm-carbon" },
      h("label", {}, "Your grid, g CO₂e per kWh ",
        h("input", { type: "number", min: 1, max: MOST_GRAMS, step: 1, placeholder: "not given", value: "",
          oninput: (event) => { local.grams = event.target.value; redraw(); } })),
      h("span", { class: "slm-num" }, carbon(value, grams) || "Carbon is shown when you name your grid's intensity.")));
}
