// Who has the memory: a bar of this moment against the limit, and ten minutes stacked, with marks.

import { h } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 150;
const GLYPHS = { load: "▲", evict: "▼", answer: "●", compress: "◆", alarm: "!" };
const NAMES = { load: "model loaded", evict: "model unloaded", answer: "answer", compress: "compression", alarm: "alarm" };

const percent = (fraction) => `${(Math.min(1, fraction) * 100).toFixed(2)}%`;

function stack(value) {
  const floor = value.times.map(() => 0);
  return value.layers.map((layer) => {
    const low = floor.slice();
    layer.heights.forEach((height, index) => (floor[index] += height));
    const point = (x, y) => `${(x * WIDTH).toFixed(1)},${(HEIGHT * (1 - Math.min(1, y))).toFixed(1)}`;
    const upper = value.times.map((x, index) => point(x, floor[index]));
    const lower = value.times.map((x, index) => point(x, low[index])).reverse();
    return h("polygon", { class: `slm-part-${layer.colour}`, points: [...upper, ...lower].join(" ") }, h("title", {}, layer.name));
  });
}

// A line across the chart, with its name in the text below; none where it lies above the picture.
const across = (height, name) =>
  height === null || height > 1 ? null
    : h("line", { class: `slm-${name}-line`, x1: 0, x2: WIDTH, y1: (HEIGHT * (1 - height)).toFixed(1), y2: (HEIGHT * (1 - height)).toFixed(1) });

const above = (height) => (height !== null && height > 1 ? ", above the picture" : "");

export function picture(value) {
  const kinds = Object.keys(GLYPHS).filter((kind) => value.marks.some((mark) => mark.kind === kind));
  return h("section", { class: "slm-meter slm-picture", id: "slm-meter-shares" },
    h("header", {}, h("h3", {}, "Who has the memory"), h("span", { class: "slm-quiet slm-num" }, `limit ${value.limit_text}`)),
    h("div", { class: "slm-now", role: "img", "aria-label": value.now.map((part) => `${part.name} ${part.text}`).join(", ") },
      value.now.map((part) =>
        h("span", { class: `slm-part-${part.colour}`, style: `width:${percent(part.fraction || 0)}`, title: `${part.name}: ${part.text}` })),
      value.budget_now === null ? null
        : h("i", { class: "slm-now-budget", style: `left:${percent(value.budget_now)}`, title: `Budget of all models: ${value.budget_text}` })),
    h("ul", { class: "slm-legend slm-num" },
      value.now.map((part) =>
        h("li", { key: part.name, title: "Its pages, shared ones in part, without the files that it maps" }, h("span", { class: `slm-swatch slm-part-${part.colour}` }), `${part.name} `, h("b", {}, part.text))),
      h("li", {}, h("span", { class: "slm-swatch" }), "free to take ", h("b", {}, value.free))),
    h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "slm-stack", role: "img",
      "aria-label": `Memory by part over ten minutes; the chart is ${value.top_text} high` },
      h("line", { class: "slm-floor", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
      stack(value), across(value.budget, "budget"), across(value.limit, "limit"), across(value.peak, "peak")),
    h("div", { class: "slm-marks", style: `height:${kinds.length * 11 + 2}px` }, value.marks.map((mark) =>
      h("span", { class: `slm-mark slm-mark-${mark.kind}`, style: `left:${percent(mark.x)};top:${mark.row * 11}px`, title: mark.title }, GLYPHS[mark.kind]))),
    h("p", { class: "slm-axis slm-quiet slm-num" }, h("span", {}, "10 min ago"), h("span", {}, `chart height ${value.top_text}`), h("span", {}, "now")),
    h("ul", { class: "slm-legend slm-quiet" },
      h("li", {}, h("span", { class: "slm-key slm-limit-key" }), `limit ${value.limit_text}${above(value.limit)}`),
      h("li", {}, h("span", { class: "slm-key slm-budget-key" }), `budget of all models ${value.budget_text}${above(value.budget)}`),
      h("li", {}, h("span", { class: "slm-key slm-peak-key" }), `high-water mark ${value.peak_text}`),
      kinds.map((kind) => h("li", { key: kind }, h("span", { class: `slm-mark-${kind}` }, GLYPHS[kind]), ` ${NAMES[kind]}`))),
    value.events.length
      ? h("details", { class: "slm-events" }, h("summary", {}, "What happened"),
          h("ul", {}, value.events.map((event) => h("li", {}, h("span", { class: "slm-quiet slm-num" }, `${event.ago} `), event.text))))
      : null);
}
