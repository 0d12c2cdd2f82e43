// A drawing of a model's blocks from its real numbers: what the data passes, from top to bottom.

import { h } from "./dom.js";

const WIDTH = 360;
const LEFT = 34; // room for the residual line
const RIGHT = WIDTH - 26;
const MIDDLE = (LEFT + RIGHT) / 2;
const GAP = 7;

const NAMES = { full_attention: "full attention", sliding_attention: "sliding window", global_attention: "full attention", local_attention: "local attention",
  local: "local chunks", lsh: "LSH attention", linear_attention: "linear attention", conv: "short convolution" };
const tone = (kind) => (kind === "full_attention" || kind === "global_attention" || kind === "attention" ? "full" : kind === "conv" || kind === "linear_attention" ? "mix" : kind === "lsh" ? "hash" : "near");
const name = (kind) => NAMES[kind] || kind.replaceAll("_", " ");

// Collects shapes from top to bottom.
class Pen {
  constructor() { this.y = 2; this.nodes = []; }
  add(...nodes) { this.nodes.push(...nodes); }
  text(x, y, words, extra = {}) { this.add(h("text", { x, y, ...extra }, words)); }
  arrow(length = GAP + 3) {
    this.add(h("line", { x1: MIDDLE, y1: this.y, x2: MIDDLE, y2: this.y + length, class: "slm-flow" }));
    this.y += length;
  }
  box(label, detail, kind, extra = 0) {
    const top = this.y;
    const lines = wrap(detail);
    const height = 20 + 12 * lines.length + (lines.length ? 1 : 0) + extra;
    this.add(h("rect", { x: LEFT + 12, y: top, width: RIGHT - LEFT - 24, height, rx: 3, class: `slm-box slm-box-${kind}` }));
    this.text(MIDDLE, top + 14, label, { class: "slm-box-label", "text-anchor": "middle" });
    lines.forEach((line, i) => this.text(MIDDLE, top + 26 + 12 * i, line, { class: "slm-box-detail", "text-anchor": "middle" }));
    this.y += height;
    return this.y - extra;
  }
}

function part(pen, each) {
  if (each.kind === "norm") return pen.box(each.label, "", "norm");
  const heads = each.kind === "attention" || each.kind === "cross-attention" || each.kind === "linear attention";
  const label = each.repeats > 1 ? `${each.repeats} × ${each.label}` : each.label;
  const drawn = heads && each.heads;
  const below = pen.box(label, each.detail, each.kind.replace(" ", "-"), drawn ? rows(each).length * 13 + 1 : 0);
  if (drawn) groups(pen, each, below);
}

const LINE = 54; // characters that fit a box

// In lines at commas or spaces.
function wrap(words) {
  const lines = [];
  let rest = words || "";
  while (rest.length > LINE) {
    const cut = Math.max(rest.lastIndexOf(" ", LINE), 20);
    lines.push(rest.slice(0, cut));
    rest = rest.slice(cut).trim();
  }
  return rest ? [...lines, rest] : lines;
}

const SQUARE = 7;
const GROUP_GAP = 4;

// Each KV head (filled) with the query heads that share it, in lines that fit the box.
function rows(each) {
  const shared = Math.max(1, Math.round(each.heads / (each.kv_heads || each.heads)));
  const wide = Math.min(shared, 14) * SQUARE + SQUARE + GROUP_GAP;
  const fit = Math.max(1, Math.floor((RIGHT - LEFT - 40) / wide));
  const count = each.kv_heads || each.heads;
  const shown = Math.min(count, fit * 3);
  const lines = [];
  for (let at = 0; at < shown; at += fit) lines.push(Math.min(fit, shown - at));
  return lines;
}

function groups(pen, each, top) {
  const count = each.kv_heads || each.heads;
  const shared = Math.max(1, Math.round(each.heads / count));
  const wide = Math.min(shared, 14) * SQUARE + SQUARE + GROUP_GAP;
  rows(each).forEach((inLine, line) => {
    let x = MIDDLE - (inLine * wide - GROUP_GAP) / 2;
    for (let g = 0; g < inLine; g += 1) {
      pen.add(h("rect", { x, y: top + line * 13, width: SQUARE - 1, height: 9, class: "slm-kv" }));
      for (let q = 0; q < Math.min(shared, 14); q += 1)
        pen.add(h("rect", { x: x + SQUARE * (q + 1), y: top + 1 + line * 13, width: SQUARE - 1, height: 7, class: "slm-query" }));
      x += wide;
    }
  });
}

// A residual branch: what comes in is added again after its parts.
function branch(pen, each) {
  const top = pen.y - 2;
  each.parts.forEach((one, i) => { if (i) pen.arrow(GAP); part(pen, one); });
  plus(pen, top);
  if (each.norm_after_sum) { pen.arrow(GAP); part(pen, each.norm_after_sum); }
}

function plus(pen, top) {
  pen.arrow(GAP);
  const y = pen.y + 5;
  pen.add(h("polyline", { points: `${MIDDLE},${top} ${LEFT},${top} ${LEFT},${y} ${MIDDLE - 5},${y}`, class: "slm-residual" }),
    h("circle", { cx: MIDDLE, cy: y, r: 5, class: "slm-plus" }),
    h("line", { x1: MIDDLE - 3, y1: y, x2: MIDDLE + 3, y2: y, class: "slm-flow" }), h("line", { x1: MIDDLE, y1: y - 3, x2: MIDDLE, y2: y + 3, class: "slm-flow" }));
  pen.y = y + 5;
}

function layer(pen, each, mixed) {
  const top = pen.y;
  pen.y += 18;
  if (mixed) pen.text(LEFT + 2, top + 13, `${name(each.kind)} layer`, { class: "slm-box-detail" });
  if (each.parallel) {
    const start = pen.y - 2;
    if (each.shared_norm) { part(pen, each.shared_norm); pen.arrow(GAP); }
    each.branches.forEach((one, i) => {
      if (i) { pen.text(MIDDLE, pen.y + 10, "beside it, from the same input", { class: "slm-box-detail", "text-anchor": "middle" }); pen.y += 15; }
      one.parts.forEach((inner) => part(pen, inner));
    });
    plus(pen, start);
  } else each.branches.forEach((one, i) => { if (i) pen.arrow(GAP); branch(pen, one); });
  pen.y += 6;
  pen.nodes.unshift(h("rect", { x: 12, y: top, width: WIDTH - 24, height: pen.y - top, rx: 5, class: `slm-layer slm-layer-${mixed ? tone(each.kind) : "plain"}` }));
  pen.text(WIDTH - 15, top + 13, `× ${each.count}`, { class: "slm-times", "text-anchor": "end" });
}

// Which kind each layer is, from the first on.
function order(pen, stack) {
  const wide = Math.min(14, (WIDTH - 24) / stack.order.length);
  const left = MIDDLE - (stack.order.length * wide) / 2;
  stack.order.forEach((kind, i) =>
    pen.add(h("rect", { x: left + i * wide, y: pen.y, width: wide - 1.5, height: 10, rx: 1.5, class: `slm-cell slm-layer-${tone(kind)}` }, h("title", {}, `layer ${i + 1}: ${name(kind)}`))));
  pen.y += 10;
  pen.text(MIDDLE, pen.y + 12, `its ${stack.num_layers} layers in order`, { class: "slm-box-detail", "text-anchor": "middle" });
  pen.y += 17;
}

function stackOf(shape, stack, alone) {
  const pen = new Pen();
  const { embedding } = shape;
  if (!alone) { pen.text(12, pen.y + 12, stack.role === "encoder" ? "Encoder: reads the input" : "Decoder: writes, and attends to the encoder", { class: "slm-times" }); pen.y += 19; }
  pen.box("Token embedding", `${embedding.vocab_size.toLocaleString("en")} tokens × ${embedding.size.toLocaleString("en")}` +
    (embedding.factorised ? `, projected to ${embedding.hidden_size.toLocaleString("en")}` : ""), "embedding");
  pen.arrow(GAP);
  pen.box("Positions", embedding.positions, "position");
  if (embedding.norm) { pen.arrow(GAP); pen.box(embedding.norm, "", "norm"); }
  pen.arrow();
  const mixed = stack.layers.length > 1;
  if (mixed) order(pen, stack);
  stack.layers.forEach((each, i) => { if (i) pen.y += 6; layer(pen, each, mixed); });
  if (stack.weight_sets < stack.num_layers) {
    pen.text(MIDDLE, pen.y + 13, `${stack.num_layers} layers share ${stack.weight_sets} set${stack.weight_sets > 1 ? "s" : ""} of weights`, { class: "slm-times", "text-anchor": "middle" });
    pen.y += 18;
  }
  pen.arrow();
  if (stack.final_norm) { pen.box(stack.final_norm, "", "norm"); pen.arrow(GAP); }
  const last = alone || stack.role === "decoder";
  if (!last) pen.box("to every decoder layer", "", "out");
  else if (shape.head === null) pen.box("one vector a token", "", "out");
  else pen.box(shape.head === "tied" ? "Head: the embedding's own table" : "Head", `${embedding.hidden_size.toLocaleString("en")} × ${embedding.vocab_size.toLocaleString("en")} tokens`,
    shape.head === "tied" ? "embedding" : "head");
  const height = pen.y + 3;
  const what = `${shape.name}: ${stack.num_layers} ${stack.role} layers; ` +
    stack.layers.map((each) => `${each.count} × ${each.branches.flatMap((one) => one.parts).map((one) => [one.label, one.detail].filter(Boolean).join(" ")).join(", ")}`).join("; ");
  return h("svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "slm-blocks", role: "img", "aria-label": what }, pen.nodes);
}

export function drawing(shape) {
  const attends = shape.stacks.some((stack) => stack.layers.some((each) => each.branches.some((one) => one.parts.some((p) => p.heads))));
  return h("div", { class: "slm-drawing" },
    h("div", { class: "slm-stacks" }, shape.stacks.map((stack) => stackOf(shape, stack, shape.stacks.length === 1))),
    attends ? h("p", { class: "slm-legend" }, h("span", {}, h("i", { class: "slm-kv-mark" }), "a KV head, "), h("span", {}, h("i", { class: "slm-query-mark" }), "the query heads that share it")) : null,
    shape.note ? h("p", { class: "slm-quiet" }, shape.note) : null);
}
