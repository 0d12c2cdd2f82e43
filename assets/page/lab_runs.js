// Every run so far, and all of them in one plot: what size, memory or speed cost in quality.

import { button, h } from "./dom.js";

export function runs(value, { trigger, redraw, local }) {
  if (!value.runs?.length) return [];
  const remove = (run) => {
    if (local.sure === run.id) trigger("delete", { id: run.id });
    local.sure = local.sure === run.id ? null : run.id;
    redraw();
  };
  const open = (id) => trigger("show", { id });
  return [
    value.points.length ? plot(value, { local, redraw, open }) : null,
    h("h3", {}, "All runs"),
    value.error ? h("p", { class: "slm-error", role: "alert" }, value.error) : null,
    h("ul", { class: "slm-hub-list slm-lab-list" }, value.runs.map((run) =>
      h("li", { key: run.id, "data-id": run.id, "data-state": run.state, class: run.id === value.shown ? "slm-chosen" : "" },
        h("button", { type: "button", class: "slm-link slm-hub-name", title: "Show this run", onclick: () => open(run.id) }, run.title),
        h("span", { class: "slm-chip" }, run.state), h("span", { class: "slm-hub-said slm-num slm-quiet" }, run.said),
        run.deletable
          ? button(local.sure === run.id ? "Really delete it and its model?" : "Delete", `Delete the run ${run.title}, its report and its model`, () => remove(run),
              { onblur: () => { if (local.sure === run.id) { local.sure = null; redraw(); } }, class: local.sure === run.id ? "slm-button slm-error" : "slm-button" })
          : null))),
  ].filter(Boolean);
}

function nice(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 2));
  const wide = (high - low) / step > 10 ? 5 * step : (high - low) / step > 5 ? 2 * step : step;
  const ticks = [];
  for (let at = Math.ceil(low / wide) * wide; at <= high + wide / 1e6; at += wide) ticks.push(Number(at.toPrecision(6)));
  return ticks;
}

function plot(value, { local, redraw, open }) {
  local.x ||= value.axes.x[0].id;
  local.y ||= value.axes.y[0].id;
  const [across, up] = [value.axes.x.find((axis) => axis.id === local.x), value.axes.y.find((axis) => axis.id === local.y)];
  const points = value.points.filter((each) => each[local.x] !== null && each[local.y] !== null);
  const choose = (name, label) => h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, label),
    h("select", { "aria-label": label, onchange: (event) => { local[name] = event.target.value; redraw(); } },
      value.axes[name].map((axis) => h("option", { value: axis.id, selected: axis.id === local[name] ? "" : null }, axis.name))));
  return h("section", { class: "slm-lab-pareto" },
    h("h3", {}, "What it costs"),
    h("div", { class: "slm-wish" }, choose("y", "Quality"), choose("x", "against")),
    points.length < 2 ? h("p", { class: "slm-quiet" }, "Nothing to compare yet: fewer than two models have both figures.") : drawn(points, across, up, value, open),
    h("p", { class: "slm-quiet" }, `Down is better, and ${across.more ? "right" : "left"}: the line joins the models that no other beats in both. Hollow marks are parents. ${up.note}`));
}

// Where a name can stand beside its point without lying on another one.
function clear(taken, wide, [cx, cy]) {
  const end = cx > wide * 0.7;
  const free = [-6, 16, 28, -18].find((dy) => taken.every(([x, y, left]) => Math.abs(x - cx) > 110 || left !== end || Math.abs(y - cy - dy) > 11)) ?? -6;
  taken.push([cx, cy + free, end]);
  return { x: end ? cx - 9 : cx + 9, y: cy + free, "text-anchor": end ? "end" : "start", class: "slm-lab-name" };
}

function drawn(points, across, up, value, open) {
  const narrow = innerWidth < 760;
  const [wide, high, left, bottom] = narrow ? [360, 300, 44, 34] : [760, 320, 52, 36];
  const reach = (id) => {
    const all = points.map((each) => each[id]);
    const [low, most] = [Math.min(...all), Math.max(...all)];
    const room = (most - low || most || 1) * 0.12;
    return [Math.max(0, low - room), most + room];
  };
  const [xs, ys] = [reach(across.id), reach(up.id)];
  const x = (number) => left + ((wide - left - 12) * (number - xs[0])) / (xs[1] - xs[0]);
  const y = (number) => high - bottom - ((high - bottom - 10) * (number - ys[0])) / (ys[1] - ys[0]);
  const taken = [];
  const front = points.filter((each) => each.front.includes(`${across.id} ${up.id}`)).sort((a, b) => a[across.id] - b[across.id]);
  return h("svg", { viewBox: `0 0 ${wide} ${high}`, class: "slm-lab-plot", role: "group", "aria-label": `${up.name} against ${across.name}` },
    nice(...xs).map((at) => [h("line", { x1: x(at), x2: x(at), y1: 8, y2: high - bottom }), h("text", { x: x(at), y: high - bottom + 14, "text-anchor": "middle" }, String(at))]),
    nice(...ys).map((at) => [h("line", { x1: left, x2: wide - 12, y1: y(at), y2: y(at) }), h("text", { x: left - 5, y: y(at) + 4, "text-anchor": "end" }, String(at))]),
    h("text", { x: (left + wide) / 2, y: high - 4, "text-anchor": "middle" }, across.name),
    h("polyline", { points: front.map((each) => `${x(each[across.id]).toFixed(1)},${y(each[up.id]).toFixed(1)}`).join(" ") }),
    // From top to bottom, so that names which make room for each other keep their points' order.
    [...points].sort((a, b) => b[up.id] - a[up.id]).map((each) => {
      const [cx, cy] = [x(each[across.id]), y(each[up.id])];
      const go = each.run ? { tabindex: 0, role: "button", onclick: () => open(each.run), onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(each.run); } } } : { role: "img" };
      return [
        h("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: each.run === value.shown && each.run ? 7 : 5, class: each.run ? "slm-lab-point" : "slm-lab-parent", "aria-label": each.name, ...go },
          h("title", {}, `${each.name}: ${each[up.id]} ${up.unit}, ${each[across.id]} ${across.unit}`)),
        narrow && each.run !== value.shown ? null : h("text", clear(taken, wide, [cx, cy]), each.label),
      ];
    }));
}
