// The class. A browser keeps who it is (a student's token or the teacher's key) in its own
// storage and sends it with every event; a code is all that a link carries. While its tab is
// seen, a screen asks for news every two seconds, and is sent only what differs.

import { button, h } from "./dom.js";
import { student, talk } from "./class_student.js";
import { teacher } from "./class_teacher.js";
import { save } from "./meters_hours.js";

const NEWS_MS = 2000;
const TOKEN = "slm-class-token";
const KEY = "slm-class-key";
const linked = new URLSearchParams(location.search).get("class") || null;

// Storage may be switched off: then a reload asks again.
function kept(name) {
  try { return localStorage.getItem(name) || ""; } catch { return me[name] || ""; }
}
function keep(name, value) {
  me[name] = value;
  try { value ? localStorage.setItem(name, value) : localStorage.removeItem(name); } catch { /* kept above */ }
}
const me = {};
const who = () => ({ token: kept(TOKEN), key: kept(KEY) });

function arrive(value, local) {
  local.version = value.version;
  if (value.token) { keep(TOKEN, value.token); keep(KEY, ""); }
  if (value.key) { keep(KEY, value.key); keep(TOKEN, ""); }
  // Ended, left or sent out: what was refused is worth nothing any more.
  if (value.refused && value.refused === kept(TOKEN)) keep(TOKEN, "");
  if (value.refused && value.refused === kept(KEY)) keep(KEY, "");
  if (value.notice !== undefined) local.notice = value.notice;
  if (value.file && value.file.id !== local.saved) {
    local.saved = value.file.id;
    save(value.file);
  }
  // Who came by a student's link needs no other tab.
  document.body.toggleAttribute("data-student", value.screen === "student" || (value.screen === "door" && linked !== null));
}

function classroom(value, { trigger, redraw, local, element }) {
  const news = () => {
    if (!document.hidden && element.offsetParent)
      trigger("look", { ...who(), seen: local.version || "", origin: location.origin + location.pathname });
  };
  if (!local.asking) {
    local.asking = setInterval(news, NEWS_MS);
    document.addEventListener("visibilitychange", news);
    setTimeout(news);
  }
  if (!value.screen) return [h("p", { class: "slm-quiet" }, "Looking for the class…")];
  if (value !== local.came) arrive(value, local);
  local.came = value;
  // News that was asked for before somebody came in shows the door to nobody.
  const stale = value.screen === "door" && (kept(TOKEN) || kept(KEY)) && local.drawn;
  if (stale) value = local.drawn;
  local.drawn = value;
  const act = (what, data) => trigger("act", { do: what, ...who(), origin: location.origin + location.pathname, ...data });
  const tools = { act, redraw, local, key: () => kept(KEY), ask: (data) => trigger("ask", { ...who(), ...data }) };
  const screens = { door, student, teacher };
  return [
    h("p", { class: "slm-error slm-notice", role: "alert", hidden: local.notice ? null : "" }, local.notice || ""),
    screens[value.screen](value, tools),
  ];
}

const field = (label, name, local, extra) =>
  h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, label),
    h("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", oninput: (event) => { local[name] = event.target.value; }, ...extra }));

function door(value, { act, local }) {
  local.code ??= (linked || "").slice(0, 20);
  const join = (event) => { event.preventDefault(); act("join", { code: local.code, name: local.name || "" }); };
  const enter = (event) => { event.preventDefault(); act("enter", { typed: local.typed || "" }); };
  const form = h("form", { class: "slm-class-door", onsubmit: join },
    h("h2", {}, "Join the class"),
    field("Code", "code", local, { value: local.code, class: "slm-class-code-field", maxlength: 20, "aria-label": "Class code", placeholder: "on your teacher's screen" }),
    field("Nickname", "name", local, { value: "", maxlength: 24, "aria-label": "Nickname", placeholder: "what the class will see" }),
    h("button", { type: "submit", class: "slm-primary" }, "Join"));
  const host = h("details", { class: "slm-fold" }, h("summary", {}, "I am the teacher"),
    h("form", { class: "slm-class-key", onsubmit: enter },
      field("Teacher's key", "typed", local, { type: "password", value: "", maxlength: 40, "aria-label": "Teacher's key" }),
      h("button", { type: "submit", class: "slm-button" }, "Open the teacher's screen")),
    h("p", { class: "slm-quiet" }, "It is printed in the terminal where the class was started."));
  if (value.running) return h("div", { key: "door" }, form, linked === null ? host : null);
  return h("div", { key: "shut", class: "slm-class-door" },
    h("h2", {}, "No class is running"),
    value.may_start
      ? [h("p", {}, "In a class, students join with a code and a nickname. You choose the models, send prompts and questions to every screen, and see answers and votes arrive."),
         value.here_only ? h("p", { class: "slm-quiet" }, "This page is served to this machine only, which is good for a trial. For a class, start the app with ", h("code", {}, "slm-explorer serve --class"), ".") : null,
         h("p", { class: "slm-quiet" }, "A class is kept in memory: it ends with the app, and only what you export stays."),
         button("Begin a class", "Open the teacher's screen on this page", () => act("start"), { class: "slm-primary" })]
      : h("p", {}, "The host of this app begins one with ", h("code", {}, "slm-explorer serve --class"), "."));
}

function classtalk(value, { trigger }) {
  return talk(value, { halt: () => trigger("halt", who()), clear: () => trigger("clear", who()) });
}

export const classViews = { classroom, classtalk };
