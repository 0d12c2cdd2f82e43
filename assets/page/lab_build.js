// The recipe builder: a parent, what is done to it, and what to expect of that.

import { button, h } from "./dom.js";
import { optionText, options, parsed, written } from "./lab_recipe.js";

const error = (text) => (text ? h("p", { class: "slm-error", role: "alert" }, text) : null);

export function build(value, { trigger, redraw, local }) {
  if (!value.models) return [];
  if (local.model !== value.model) {
    local.model = value.model;
    local.text = value.recipe;
    local.fresh = (local.fresh || 0) + 1;
  }
  // An input keeps what is typed in it; a new key makes it anew with what was chosen elsewhere.
  const change = (text, typed) => {
    local.text = text;
    if (!typed) local.fresh += 1;
    clearTimeout(local.later);
    local.later = setTimeout(() => trigger("recipe", { recipe: local.text }), typed ? 400 : 60);
    redraw();
  };
  // What is typed before the new parent's form has come would be lost.
  const choosing = local.choosing === value.answer ? "" : null;
  const act = { value, local, trigger, redraw, change, steps: parsed(local.text) };
  const stores = value.steps.filter((step) => step.stores);
  const others = value.steps.filter((step) => !step.stores);
  return [
    value.refused ? h("p", { class: "slm-caution", role: "note" }, value.refused) : null,
    h("label", { class: "slm-lab-field" }, h("span", { class: "slm-label" }, "Parent"),
      h("select", { "aria-label": "Parent", onchange: (event) => { local.choosing = value.answer; trigger("choose_parent", { id: event.target.value }); redraw(); } },
        value.models.map((model) => h("option", { value: model.id, selected: model.id === value.model ? "" : null }, model.name)))),
    h("p", { class: "slm-quiet slm-num" }, value.about),
    error(value.unusable),
    h("fieldset", { class: "slm-lab-steps" }, h("legend", {}, "Weights stored as"),
      h("div", { class: "slm-lab-stores", role: "radiogroup", "aria-label": "Weights stored as" }, stores.map((step) => store(step, act)))),
    others.length ? h("fieldset", { class: "slm-lab-steps" }, h("legend", {}, "First, if you like"), others.map((step) => extra(step, act))) : null,
    value.trains ? h("label", { class: "slm-lab-field slm-lab-tall" }, h("span", { class: "slm-label" }, "Text to learn from, if not what the parent writes"),
      h("textarea", { rows: 3, "aria-label": "Text to learn from", value: "", oninput: (event) => { local.learn = event.target.value; } })) : null,
    h("div", { class: "slm-lab-go" },
    h("label", { class: "slm-lab-field" }, h("span", { class: "slm-label" }, "Recipe"),
      h("input", { type: "text", class: "slm-lab-recipe", "aria-label": "Recipe", key: `recipe ${local.fresh}`, value: local.text, maxlength: 400, spellcheck: "false", disabled: choosing,
        autocapitalize: "off", autocomplete: "off", oninput: (event) => change(event.target.value, true) })),
    h("div", { role: "status" }, local.text === value.recipe
      ? [error(value.error), value.expect.map((line) => h("p", { class: "slm-num" }, line))]
      : h("p", { class: "slm-quiet" }, "…")),
    h("button", { type: "button", class: "slm-primary slm-lab-start", title: "One run at a time: it waits for those that were started before", disabled: value.refused || value.error || value.unusable || local.text !== value.recipe ? "" : null,
      onclick: () => {
        trigger("start", { model: value.model, recipe: local.text, text: value.trains ? local.learn || "" : "" });
        // On a narrow page the run is far below.
        document.getElementById("slm-lab-run").scrollIntoView({ block: "nearest" });
      } }, "Start"),
    error(value.failed)),
  ].filter(Boolean);
}

function store(step, act) {
  const { steps, change, value } = act;
  const chosen = value.steps.find((each) => each.stores && steps.has(each.name))?.name || "native";
  const on = chosen === step.name;
  const set = (text) => {
    const next = new Map([...steps].filter(([name]) => !value.steps.some((each) => each.stores && each.name === name)));
    change(written(next.set(step.name, text), value.steps));
  };
  return h("div", { class: on ? "slm-lab-store slm-chosen" : "slm-lab-store", key: step.name },
    h("button", { type: "button", role: "radio", "aria-checked": String(on), disabled: step.reason ? "" : null, title: step.reason || step.summary, onclick: () => set(step.default) },
      h("b", {}, step.name), step.study ? h("span", { class: "slm-chip" }, "study") : null, h("span", { class: "slm-num", title: step.rests }, step.reason ? "" : step.size)),
    on && !step.reason ? [knobs(step, steps.get(step.name), set, act), about(step)] : null,
    step.reason ? h("p", { class: "slm-quiet slm-reason" }, step.reason) : null);
}

const about = (step) => h("div", { class: "slm-lab-about" },
  h("p", {}, step.summary), h("p", { class: "slm-quiet" }, step.effect), step.paper ? h("p", { class: "slm-quiet" }, step.paper) : null);

function extra(step, act) {
  const { steps, change, value } = act;
  const on = steps.has(step.name);
  const set = (text) => change(written(new Map(steps).set(step.name, text), value.steps));
  const toggle = (event) => {
    if (event.target.checked) return set(step.default);
    const next = new Map(steps);
    next.delete(step.name);
    change(written(next, value.steps));
  };
  return h("div", { class: "slm-lab-step", key: step.name, "data-step": step.name },
    h("label", { class: step.reason ? "slm-quiet" : "", title: step.summary },
      h("input", { type: "checkbox", key: `${step.name} ${on}`, checked: on ? "" : null, disabled: step.reason ? "" : null, onchange: toggle }),
      h("b", {}, step.name), step.study ? h("span", { class: "slm-chip" }, "study") : null, h("span", { class: "slm-num slm-quiet", title: step.rests }, step.reason ? "" : step.size)),
    step.reason ? h("p", { class: "slm-quiet slm-reason" }, step.reason) : null,
    on && !step.reason ? [knobs(step, steps.get(step.name), set, act), step.name === "drop-layers" ? curve(act, Number(steps.get(step.name)) || 1) : null, about(step)] : null);
}

// A slider for what follows the colon, and what each option of the step is.
function knobs(step, text, set, { local }) {
  const now = options(text);
  return step.knobs.map((knob) => {
    const put = (given) => {
      const next = new Map(now);
      given === undefined ? next.delete(knob.name) : next.set(knob.name, given);
      set(optionText(next));
    };
    const key = `${knob.name} ${local.fresh}`;
    if (knob.kind === "word")
      return h("label", { class: "slm-lab-knob" },
        h("input", { type: "checkbox", key, checked: now.has(knob.name) ? "" : null, onchange: (event) => put(event.target.checked ? null : undefined) }), knob.label);
    const given = now.get(knob.name) ?? "";
    if (knob.kind === "select")
      return h("label", { class: "slm-lab-knob" }, h("span", { class: "slm-label" }, knob.label),
        h("select", { key, "aria-label": `${step.name}: ${knob.label}`, onchange: (event) => put(event.target.value || undefined) },
          knob.choices.map((each) => h("option", { value: each.value, selected: each.value === given ? "" : null }, each.text))));
    if (knob.kind === "number")
      return h("label", { class: "slm-lab-knob" }, h("span", { class: "slm-label" }, knob.label),
        h("input", { type: "number", key, min: knob.low, max: knob.high, value: given, placeholder: knob.empty, "aria-label": `${step.name}: ${knob.label}`, onchange: (event) => put(event.target.value || undefined) }), ` ${knob.unit}`);
    return h("label", { class: "slm-lab-knob" }, h("span", { class: "slm-label" }, knob.label),
      h("input", { type: "range", key, min: knob.low, max: knob.high, step: knob.step, value: given || knob.default, "aria-label": `${step.name}: ${knob.label}`,
        oninput: (event) => { event.target.nextSibling.firstChild.data = `${event.target.value} ${knob.unit}`; }, onchange: (event) => put(event.target.value) }),
      h("output", { class: "slm-num" }, `${given || knob.default} ${knob.unit}`));
  });
}

// Which layers change least what passes through them: those go first.
function curve({ value, trigger, redraw, local }, count) {
  const measure = () => { local.asked = value.answer; trigger("curve", {}); redraw(); };
  const asking = local.asked === value.answer;
  if (!value.curve)
    return h("div", { class: "slm-lab-curve" },
      button(asking ? "Measuring…" : "Measure which layers matter", "Read a text and see how much each layer changes what passes through it", measure, { disabled: asking ? "" : null }),
      asking ? button("Stop", "Stop measuring", () => trigger("halt", {})) : null,
      error(value.curve_error));
  const most = Math.max(...value.curve.influence);
  const order = value.curve.influence.map((_, i) => i).sort((a, b) => value.curve.influence[a] - value.curve.influence[b]);
  const gone = new Set(order.slice(0, count));
  return h("div", { class: "slm-lab-curve" },
    h("div", { class: "slm-lab-columns", role: "img", "aria-label": `Influence of ${value.curve.influence.length} layers; without ${[...gone].join(", ")}` },
      value.curve.influence.map((each, i) =>
        h("span", { title: `${value.curve.said[i]}${gone.has(i) ? "; would go" : ""}`, class: gone.has(i) ? "slm-lab-gone" : "", style: `height:${Math.max(4, (100 * each) / most).toFixed(0)}%` }))),
    h("p", { class: "slm-quiet" }, `Block influence (1 − cosine of a layer's input and output) of layers 0 to ${value.curve.influence.length - 1}, read from ${value.curve.text}; the ${count} with the least would go.`));
}
