// The chat: each prompt across the whole width, and under it one column a lane.

import { bar, button, copy, h } from "./dom.js";
import { follow, latest } from "./live.js";
import { result } from "./results.js";

export function board(value, { trigger, redraw, local }) {
  document.body.toggleAttribute("data-running", value.running);
  follow(value.live, local, redraw);
  const lanes = value.lanes;
  const columns = `--lanes:${Math.max(1, lanes.length)}`;
  const notice = h("p", { class: "slm-error slm-notice", role: "alert", hidden: value.notice ? null : "" }, value.notice);
  if (!value.turns.length) return [empty(value, columns, trigger), notice];
  return [
    h("div", { class: "slm-turns", style: columns, role: "log", "aria-busy": String(value.running) },
      latest(value, local).map((turn, index) => [
        prompt(turn, index, index === value.turns.length - 1, { trigger, redraw, local, value }),
        h("div", { class: "slm-answers" }, lanes.map((lane) => answer(turn.answers[lane.slot], lane, trigger))),
      ])),
    notice,
  ];
}

function empty(value, columns, trigger) {
  return h("div", { class: "slm-empty", style: columns },
    value.missing ? h("p", { class: "slm-missing" }, value.missing) : null,
    h("div", { class: "slm-answers" },
      value.lanes.map((lane) =>
        h("section", { class: "slm-answer slm-about" }, caption(lane, lane.name, lane.chips.map((chip) => h("span", { class: "slm-chip" }, chip)), code(lane, trigger)),
          h("p", {}, lane.about)))),
    h("div", { class: "slm-examples" }, value.lanes.length === 0 ? null :
      value.examples.map((group) =>
        h("section", {}, h("h3", {}, group.title), h("p", { class: "slm-quiet" }, group.note),
          group.items.map((item) =>
            button(item.label, item.title, () => trigger("example", { index: item.index }), { class: "slm-example" }))))));
}

const code = (lane, trigger) =>
  button("Code", "This model and this use as a Python program", () => trigger("code", { slot: lane.slot }), { class: "slm-button slm-copy" });

const caption = (lane, name, ...more) =>
  h("header", { class: "slm-caption" }, h("b", {}, lane.letter), h("span", { class: "slm-name" }, name), more);

function prompt(turn, index, last, { trigger, redraw, local, value }) {
  if (local.editing === index && !value.running) return editor(turn, index, { trigger, redraw, local });
  const act = (name, data) => () => trigger(name, data || {});
  return h("div", { class: "slm-prompt", key: `prompt-${index}` },
    h("div", { class: "slm-text" }, turn.prompt,
      turn.context ? h("details", { class: "slm-quiet" }, h("summary", {}, "The text"), turn.context) : null),
    h("div", { class: "slm-actions slm-when-idle" },
      last ? button("Retry", retrying(value.use), act("retry")) : null,
      last ? button("Undo", "Take this prompt and its answers back", act("undo")) : null,
      button("Edit", "Write this prompt anew; what follows it is dropped", () => { local.editing = index; redraw(); }),
      button("Copy", "Copy the prompt", () => copy(turn.prompt))));
}

const retrying = (use) =>
  use === "chat" || use === "text-to-text" ? "Ask this again in all lanes, with the next seed" : "Ask this again in all lanes";

function editor(turn, index, { trigger, redraw, local }) {
  const close = () => { local.editing = null; redraw(); };
  const send = (area) => { close(); trigger("edit", { index, text: area.value }); };
  return h("div", { class: "slm-prompt", key: `editor-${index}` },
    h("textarea", { class: "slm-editor", "aria-label": "Edit the prompt", rows: 2, value: turn.prompt, focus: true,
      onkeydown: (event) => {
        if (event.key === "Escape") { event.stopPropagation(); close(); }
        if (event.key === "Enter" && !event.shiftKey && !matchMedia("(pointer: coarse)").matches) {
          event.preventDefault();
          send(event.target);
        }
      } }),
    h("div", { class: "slm-actions" },
      button("Send", "Ask the new prompt in all lanes", (event) => send(event.target.closest(".slm-prompt").firstChild)),
      button("Cancel", "Keep the prompt as it was", close)));
}

function answer(given, lane, trigger) {
  if (!given) return h("section", { class: "slm-answer" }, caption(lane, lane.name), h("p", { class: "slm-quiet" }, "took no part"));
  const running = given.running;
  return h("section", { class: "slm-answer", "data-status": given.status, "data-slot": lane.slot },
    caption(lane, given.name,
      given.chips.map((chip) => h("span", { class: "slm-chip" }, chip)),
      running
        ? button("Stop", `Stop lane ${lane.letter}`, () => trigger("halt", { slot: lane.slot }), { class: "slm-button slm-stop" })
        : [code(lane, trigger),
           given.text ? button("Copy", "Copy the answer", () => copy(given.text), { class: "slm-button slm-copy" }) : null]),
    given.warning ? h("p", { class: "slm-caution", role: "note" }, given.warning) : null,
    given.text ? h("div", { class: "slm-text" }, given.text) : null,
    given.result ? result(given.result) : null,
    given.error ? failure(given) : null,
    h("footer", { class: "slm-figures" },
      given.note ? h("span", { class: "slm-note" }, given.note) : null,
      given.fraction === null ? null : bar(given.fraction, given.note),
      given.figures.map((figure) => h("span", { class: "slm-num", title: figure.title, tabindex: 0 }, figure.text))));
}

const failure = (given) =>
  h("div", { class: "slm-error", role: "alert" }, given.error,
    given.trace ? h("details", {}, h("summary", {}, "Trace"), h("pre", {}, given.trace)) : null);
