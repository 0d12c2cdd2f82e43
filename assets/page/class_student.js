// A student's screen: what the teacher sent, what to answer, and a chat of one's own.

import { button, h } from "./dom.js";
import { answers } from "./class_answers.js";

export function student(value, tools) {
  const { act, local } = tools;
  const leave = () => {
    if (local.leaving) act("leave");
    local.leaving = !local.leaving;
    tools.redraw();
  };
  return h("div", { class: "slm-class-student", key: "student" },
    h("header", { class: "slm-class-me" }, h("span", {}, "You are ", h("b", {}, value.name)),
      button(local.leaving ? "Really leave?" : "Leave", "Leave the class; your answers and votes go with you", leave)),
    value.push ? pushed(value, tools) : h("section", { class: "slm-class-card slm-class-wait" }, h("p", {}, "You are in."), h("p", { class: "slm-quiet" }, "What your teacher sends will appear here.")),
    writer(value, tools));
}

function pushed(value, { act, local, redraw }) {
  const push = value.push;
  return h("section", { class: "slm-class-card", key: `push-${push.number}`, "aria-label": push.title },
    h("h2", {}, push.title),
    h("p", { class: "slm-text slm-class-prompt" }, push.text),
    push.kind === "question" ? question(value, push, { act, local, redraw }) : null,
    push.kind === "try" && value.chat_open ? h("p", {},
      button("Put it into my question", "Ask a model this yourself", () => {
        local.question = push.text;
        local.from = push.number;
        local.draft = (local.draft || 0) + 1;
        redraw();
        document.querySelector("#slm-class-question")?.focus();
      }, { class: "slm-primary" })) : null,
    push.kind === "watch" ? answers(push, (answer) =>
      !push.voting || !answer.text ? null
        : h("button", { type: "button", role: "radio", class: "slm-class-vote", "aria-checked": String(value.vote === answer.letter),
            onclick: () => act("vote", { number: push.number, letter: answer.letter }) },
          value.vote === answer.letter ? `✓ Your vote: ${answer.letter}` : `Vote for ${answer.letter}`)) : null,
    push.voting ? h("p", { class: "slm-quiet" }, "Which answer is best? You may change your vote until the names are shown.") : null,
    push.open ? null : h("p", { class: "slm-quiet" }, "Closed: no more answers are taken."));
}

function question(value, push, { act, local }) {
  const at = { number: push.number };
  if (push.choices.length)
    return h("div", { class: "slm-class-choices", role: "radiogroup", "aria-label": push.text }, push.choices.map((text, index) =>
      h("button", { type: "button", role: "radio", class: "slm-class-choice", disabled: push.open ? null : "", "aria-checked": String(value.choice === index),
        onclick: () => act("reply", { ...at, choice: index }) }, text)));
  const send = (event) => { event.preventDefault(); act("reply", { ...at, text: local.reply || "" }); };
  return h("form", { class: "slm-class-reply", onsubmit: send },
    h("textarea", { rows: 2, maxlength: 1000, "aria-label": "Your answer", placeholder: "Your answer", value: value.reply || "", disabled: push.open ? null : "",
      oninput: (event) => { local.reply = event.target.value; } }),
    h("button", { type: "submit", class: "slm-primary", disabled: push.open ? null : "" }, value.reply === null ? "Send" : "Change it"),
    value.reply === null ? null : h("p", { class: "slm-quiet", role: "status" }, "Sent: ", h("span", { class: "slm-text" }, value.reply)));
}

function writer(value, { ask, local, redraw }) {
  if (!value.chat_open) return h("section", { class: "slm-class-card", key: "closed" }, h("p", { class: "slm-quiet" }, "The chat is closed for now."));
  if (!value.models.length) return h("section", { class: "slm-class-card", key: "none" }, h("p", { class: "slm-quiet" }, "You can ask a model here as soon as your teacher allows one."));
  const ready = value.models.filter((model) => model.ready);
  const chosen = ready.find((model) => model.id === local.model) || ready[0];
  const send = () => {
    if (!chosen || !(local.question || "").trim() || document.body.hasAttribute("data-answering")) return;
    ask({ model: chosen.id, text: local.question, push: local.from ?? null });
    local.question = "";
    local.from = null;
    local.draft = (local.draft || 0) + 1;
    redraw();
  };
  const enter = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !matchMedia("(pointer: coarse)").matches) {
      event.preventDefault();
      send();
    }
  };
  return h("section", { class: "slm-class-card", key: "writer", "aria-label": "Ask a model" },
    h("h2", {}, "Ask a model"),
    h("div", { class: "slm-class-models", role: "radiogroup", "aria-label": "Model" }, value.models.map((model) =>
      h("button", { type: "button", role: "radio", class: "slm-class-model", key: model.id, disabled: model.ready ? null : "", "aria-checked": String(model === chosen),
        onclick: () => { local.model = model.id; redraw(); } },
        h("span", {}, model.name), h("span", { class: "slm-quiet slm-num", title: "Requests in line, and the wait as measured in this class" }, model.note)))),
    h("textarea", { id: "slm-class-question", key: `draft-${local.draft || 0}`, rows: 3, maxlength: 2000, "aria-label": "Your question", placeholder: "Your question",
      value: local.question || "", onkeydown: enter, oninput: (event) => { local.question = event.target.value; } }),
    h("p", { class: "slm-class-send" },
      h("button", { type: "button", class: "slm-primary", disabled: chosen ? null : "", onclick: send }, "Ask"),
      h("span", { class: "slm-quiet" }, "Only you can read your chat. Models make mistakes.")));
}

// The chat, newest first, so that what was asked last stands below the writer.
export function talk(value, { halt, clear }) {
  document.body.toggleAttribute("data-answering", value.running);
  const notice = h("p", { class: "slm-error slm-notice", role: "alert", hidden: value.notice ? null : "" }, value.notice);
  if (!value.turns.length) return [notice];
  return [
    notice,
    h("div", { class: "slm-class-talk", role: "log", "aria-label": "Your chat", "aria-busy": String(value.running) }, value.turns.map((turn) =>
      h("article", { class: "slm-class-turn", key: turn.key },
        h("p", { class: "slm-text slm-class-asked" }, turn.prompt),
        h("header", { class: "slm-caption" }, h("b", {}, turn.name), turn.note ? h("span", { class: turn.failed ? "slm-error" : "slm-quiet", role: "status" }, turn.note) : null,
          turn.running ? button("Stop", "Stop this answer", halt) : null),
        turn.text ? h("div", { class: "slm-text" }, turn.text) : null,
        h("footer", { class: "slm-quiet slm-num" }, turn.figures)))),
    value.running ? null : h("p", {}, button("Clear my chat", "Forget my questions and answers; models do not read them again", clear)),
  ].filter(Boolean);
}
