// The teacher's screen: the way in, what to send, and what comes back. It hangs on the wall, so
// answers are shown when the teacher says so, and a vote's secrets not before its end.

import { button, copy, h } from "./dom.js";
import { answers, tally } from "./class_answers.js";

const KINDS = [
  ["watch", "Let models answer", "The allowed models answer once, on every screen"],
  ["try", "Try it", "Every student may send this to a model themselves"],
  ["question", "Ask the class", "Students answer in words, or choose"],
];

export function teacher(value, tools) {
  return h("div", { class: "slm-class-teacher", key: "teacher" },
    h("div", { class: "slm-class-side" }, entrance(value, tools), students(value, tools), ending(value, tools)),
    h("div", { class: "slm-class-main" }, models(value, tools), compose(value, tools),
      value.pushes.map((push, index) => result(push, index === 0, tools))));
}

function entrance(value, { local, redraw }) {
  return h("section", { class: "slm-class-card slm-class-entrance", "aria-label": "How to join" },
    h("p", { class: "slm-quiet" }, "Class code"),
    h("p", { class: "slm-class-code", "aria-label": `Code ${[...value.code].join(" ")}` }, value.code),
    value.link
      ? [qr(value.qr, value.link),
         h("p", { class: "slm-class-link" }, value.link),
         h("p", {}, button(local.copied ? "Copied" : "Copy link", "Copy the students' link", async () => { await copy(value.link); local.copied = true; redraw(); }))]
      : h("p", { class: "slm-caution" }, "Other machines cannot reach this page: it is served to this one only. Start the app with ", h("code", {}, "slm-explorer serve --class"), " for a class."));
}

// One rectangle for each run of dark modules; white around it in the dark theme too, for cameras.
function qr(rows, link) {
  const marks = [];
  rows.forEach((row, y) => {
    for (const run of row.matchAll(/1+/g)) marks.push(h("rect", { x: run.index, y, width: run[0].length, height: 1 }));
  });
  return h("svg", { class: "slm-class-qr", key: link, viewBox: `0 0 ${rows.length} ${rows.length}`, role: "img", "aria-label": `QR code of ${link}`, "shape-rendering": "crispEdges" },
    h("rect", { x: 0, y: 0, width: rows.length, height: rows.length, class: "slm-class-paper" }), marks);
}

function students(value, { act, local, redraw }) {
  const remove = (student) => {
    if (local.out === student.id) act("remove", { student: student.id });
    local.out = local.out === student.id ? null : student.id;
    redraw();
  };
  return h("section", { class: "slm-class-card", "aria-label": "Students" },
    h("h2", {}, value.joined),
    h("ul", { class: "slm-class-students" }, value.students.map((student) =>
      h("li", { key: student.id, class: student.here ? "" : "slm-class-away" },
        h("span", { class: "slm-class-name", title: student.here ? null : "Their page has not asked for news for ten seconds" }, student.name, student.here ? "" : " (away)"),
        student.done ? h("span", { class: "slm-class-done", title: "Has answered, voted or asked" }, "✓") : null,
        student.state ? h("span", { class: "slm-quiet" }, student.state) : null,
        button(local.out === student.id ? "Really?" : "×", `Send ${student.name} out; their answers and votes go too`, () => remove(student))))));
}

function ending(value, { act, local, redraw, key }) {
  const end = () => {
    if (local.ending) act("end");
    local.ending = !local.ending;
    redraw();
  };
  const renew = () => {
    if (local.renewing) act("renew");
    local.renewing = !local.renewing;
    redraw();
  };
  return h("section", { class: "slm-class-card", "aria-label": "This class" },
    h("p", {}, button("Export as CSV", "Prompts, the models' answers, replies and votes; nobody's chat", () => act("export")), " ",
      button(local.renewing ? "Really begin anew?" : "Next class", "A new code and no students; what is not exported is forgotten, the models stay", renew), " ",
      button(local.ending ? "Really end it?" : "End the class", "Everything that is not exported is forgotten", end, { class: local.ending ? "slm-button slm-error" : "slm-button" })),
    h("details", { class: "slm-fold" }, h("summary", {}, "My key"), h("p", {}, h("code", {}, key())),
      h("p", { class: "slm-quiet" }, "It opens this screen in another browser. Keep it from the wall.")),
    h("p", { class: "slm-quiet" }, "The class is kept in memory: it ends with the app, and only what you export stays. This browser keeps your key, so reloading is safe."));
}

function models(value, { act }) {
  const on = value.models.filter((model) => model.on).map((model) => model.id);
  const flip = (model) => act("allow", { models: model.on ? on.filter((id) => id !== model.id) : [...on, model.id] });
  return h("section", { class: "slm-class-card", "aria-label": "Models" },
    h("h2", {}, "Models that the class may ask"),
    h("div", { class: "slm-class-models" }, value.models.map((model) =>
      h("button", { type: "button", role: "checkbox", class: "slm-class-model", key: model.id, "aria-checked": String(model.on), onclick: () => flip(model) },
        h("span", {}, model.name), model.on ? h("span", { class: "slm-quiet slm-num" }, model.note) : null))),
    value.models.filter((model) => model.error).map((model) => h("p", { class: "slm-error", key: model.id }, `${model.name}: ${model.error}`)),
    h("p", { class: "slm-class-send" },
      button(value.chat_open ? "Close the chat" : "Open the chat", value.chat_open ? "Students can ask no more; running answers stop" : "Students may ask the models above",
        () => act("chat", { on: !value.chat_open })),
      h("span", { class: "slm-quiet" }, value.chat_open ? "Students may chat with these models." : "The chat is closed: students only see what you send.")));
}

function compose(value, { act, local, redraw }) {
  local.kind ||= "watch";
  // Sent: an empty writer again. A refusal leaves the words where they are.
  if (local.sent !== value.pushes.length) {
    local.sent = value.pushes.length;
    local.prompt = local.choices = "";
  }
  const send = (event) => {
    event.preventDefault();
    const choices = (local.choices || "").split("\n").map((line) => line.trim()).filter(Boolean);
    act("push", { kind: local.kind, text: local.prompt || "", choices: local.kind === "question" ? choices : [], vote: local.kind === "watch" && !!local.blind });
  };
  const allowed = value.models.filter((model) => model.on);
  return h("form", { class: "slm-class-card", "aria-label": "Send to every screen", onsubmit: send },
    h("h2", {}, "Send to every screen"),
    h("div", { class: "slm-class-kinds", role: "radiogroup", "aria-label": "What to send" }, KINDS.map(([kind, text, title]) =>
      h("button", { type: "button", role: "radio", class: "slm-use", title, "aria-checked": String(local.kind === kind), onclick: () => { local.kind = kind; redraw(); } }, text))),
    h("textarea", { key: `prompt-${local.sent}`, rows: 3, maxlength: 4000, "aria-label": "Prompt or question", placeholder: local.kind === "question" ? "Your question" : "A prompt for the models",
      value: "", oninput: (event) => { local.prompt = event.target.value; } }),
    local.kind === "question" ? h("textarea", { key: `choices-${local.sent}`, rows: 3, "aria-label": "Answers to choose from", placeholder: "Answers to choose from, one a line; leave it empty for answers in words",
      value: local.choices || "", oninput: (event) => { local.choices = event.target.value; } }) : null,
    h("p", { class: "slm-class-send" },
      h("button", { type: "submit", class: "slm-primary" }, "Send"),
      local.kind === "watch" ? h("button", { type: "button", role: "checkbox", class: "slm-class-box", disabled: allowed.length > 1 ? null : "", "aria-checked": String(!!local.blind && allowed.length > 1),
        title: "Names stay hidden, here too, until you show them", onclick: () => { local.blind = !local.blind; redraw(); } }, "Vote with hidden names") : null,
      local.kind === "watch" && !allowed.length ? h("span", { class: "slm-quiet" }, "Allow a model above first.") : null));
}

function result(push, newest, { act, local, redraw }) {
  const change = (setting, on) => act("change", { number: push.number, setting, on });
  const shown = (local.shown ||= {});
  const flip = () => { shown[push.number] = !shown[push.number]; redraw(); };
  const body = [
    h("header", { class: "slm-class-head" },
      h("div", {}, h("span", { class: "slm-quiet" }, `${push.number}. ${push.title}`), h("p", { class: "slm-text slm-class-prompt" }, push.text)),
      h("b", { class: "slm-num slm-class-count" }, push.count)),
    h("p", { class: "slm-actions slm-class-switches" },
      push.answers.length > 1 && newest
        ? push.revealed ? button("Vote with hidden names", "Hide the names, and let the class vote", () => change("voting", true))
          : button("Show names and votes", "Ends the vote", () => change("revealed", true), { class: "slm-primary" })
        : null,
      push.kind === "question" ? button(shown[push.number] ? "Hide answers" : "Show answers", "On this screen, which the class may see", flip) : null,
      newest && push.kind === "question" ? button(push.open ? "Take no more" : "Take answers again", "", () => change("open", !push.open)) : null),
    push.kind === "watch" ? answers(push, () => null) : null,
    push.kind === "question" && shown[push.number] ? replies(push, act) : null,
  ];
  if (newest) return h("section", { class: "slm-class-card slm-class-result", key: `push-${push.number}`, "aria-label": push.title }, body);
  return h("details", { class: "slm-class-card slm-class-result", key: `old-${push.number}` },
    h("summary", {}, `${push.number}. ${push.text.slice(0, 80)}`, h("span", { class: "slm-quiet" }, ` ${push.count}`)), body);
}

const replies = (push, act) =>
  push.bars.length
    ? h("ul", { class: "slm-class-bars" }, push.bars.map((bar) => h("li", { key: bar.text }, h("span", {}, bar.text), tally(`${bar.count}`, bar.share, bar.text))))
    : h("ul", { class: "slm-class-replies" }, push.replies.map((reply) =>
        h("li", { key: reply.student }, h("span", { class: "slm-text" }, reply.text), h("span", { class: "slm-quiet" }, reply.name),
          button("×", `Drop the answer of ${reply.name}`, () => act("drop", { number: push.number, student: reply.student })))));
