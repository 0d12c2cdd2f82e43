// One run: what it is doing and how far it is, what it has made, and what came of it.

import { bar, button, h } from "./dom.js";
import { grid } from "./lab_grid.js";
import { report } from "./lab_report.js";

export function run(value, act) {
  if (!value.id) return [h("p", { class: "slm-quiet slm-lab-empty" }, value.nothing || "")];
  const { trigger } = act;
  const tell = (name) => () => trigger(name, { id: value.id });
  return [
    h("header", { class: "slm-lab-head", key: value.id },
      h("h2", {}, value.title), h("span", { class: "slm-chip", "data-state": value.state }, value.state),
      h("span", { class: "slm-lab-buttons" },
        value.may_pause ? button(value.paused ? "Go on" : "Pause", value.paused ? "Go on learning" : "Stop learning for a while", tell(value.paused ? "resume" : "pause")) : null,
        value.may_pause ? button("Finish now", "End the training and keep what was learned", tell("finish")) : null,
        value.may_cancel ? button("Cancel", "Stop it; nothing of it is left", tell("cancel")) : null)),
    value.ended ? null : h("div", { class: "slm-lab-progress" },
      h("p", { role: "status" }, value.stage),
      bar(value.fraction, value.stage),
      h("p", { class: "slm-quiet slm-num" }, value.figures.map((each) => h("span", { title: each.title }, each.text)))),
    value.error ? h("p", { class: "slm-error", role: "alert" }, value.error) : null,
    value.report ? report(value, act) : null,
    value.training ? learning(value.training) : null,
    value.grid.rows.length || value.grid.apart.length
      ? h("details", { class: "slm-fold slm-lab-layers", open: value.ended && value.grid.done > 400 ? null : "" },
          h("summary", {}, value.state !== "compressing" ? `What each of ${value.grid.done} matrices got` : `${value.grid.done} matrices so far`),
          grid(value.grid, act))
      : null,
  ].filter(Boolean);
}

const WIDTH = 600;
const HEIGHT = 150;

// Loss over steps, with its ends written beside it.
function learning(training) {
  const points = training.points;
  if (!points.length) return h("p", { class: "slm-quiet" }, "The first step of training has not been told yet.");
  const [first, last] = [points[0], points[points.length - 1]];
  const losses = points.map(([, loss]) => loss);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const x = (step) => (WIDTH * (step - first[0])) / Math.max(1, last[0] - first[0]);
  const y = (loss) => 4 + (HEIGHT - 8) * (1 - (loss - low) / Math.max(1e-9, high - low));
  return h("section", { class: "slm-lab-learning" },
    h("h3", {}, "Learning"),
    h("p", { class: "slm-quiet slm-num" }, training.figures),
    h("div", { class: "slm-lab-loss" },
      h("span", { class: "slm-num slm-quiet" }, high.toFixed(2), h("br"), "nats"),
      h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "slm-spark", role: "img",
        "aria-label": `Loss from ${first[1].toFixed(2)} at step ${first[0]} to ${last[1].toFixed(2)} nats a token at step ${last[0]}` },
        h("polyline", { points: points.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ") })),
      h("span", { class: "slm-num slm-quiet" }, low.toFixed(2)), h("span", { class: "slm-num slm-quiet slm-lab-steps-of" }, `step ${first[0]} to ${last[0]}`)),
    training.sample ? h("blockquote", { class: "slm-text", title: "What the student wrote" }, training.sample) : null);
}
