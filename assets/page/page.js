// Mounts the views into Gradio's HTML components, and what belongs to the page as a whole:
// keys, the switch between tabs, and which meters may poll.

import { h, patch } from "./dom.js";
import { advisor } from "./advisor.js";
import { board } from "./board.js";
import { catalogViews } from "./catalog.js";
import { classViews } from "./class.js";
import { downloads, hub, local } from "./hub.js";
import { labViews } from "./lab.js";
import { meters } from "./meters.js";
import { hours } from "./meters_hours.js";
import { code, mask, uses } from "./playground.js";
import { shape } from "./shape.js";
import { strip } from "./strip.js";

const VIEWS = { advisor, board, code, downloads, hours, hub, local, meters, shape, strip, uses, ...catalogViews, ...classViews, ...labViews };

const tab = () => document.querySelector("#slm-tabs button[role=tab][aria-selected=true]")?.textContent.trim();

function go(name, meter) {
  for (const each of document.querySelectorAll("#slm-tabs button[role=tab]"))
    if (each.textContent.trim() === name) each.click();
  // The meter may still have to be drawn; two frames are enough for a tab that has been open.
  if (meter) setTimeout(() => document.getElementById(`slm-meter-${meter}`)?.scrollIntoView({ block: "nearest" }), 300);
}

// Answers for gr.Timer: nothing polls in a hidden page, and the meters and the lab only on their
// own tabs.
function timers() {
  const active = (on) => ({ __type__: "update", active: on });
  const shown = !document.hidden;
  const here = tab();
  return [active(shown && here === "Meters"), active(shown && here === "Lab")];
}

export function mount(name, element, props, raw, watch, latest = []) {
  const local = {};
  // What Gradio puts off while an earlier one is answered, it sends with what came with that one:
  // it is given one object for all of them, which holds what came with the last.
  const carried = Object.fromEntries(latest.map((event) => [event, {}]));
  const trigger = (event, data = {}) => {
    const box = carried[event];
    if (!box) return raw(event, data);
    for (const key of Object.keys(box)) delete box[key];
    raw(event, Object.assign(box, data));
  };
  const nearEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
  const redraw = () => {
    if (name === "uses") setTimeout(shorten);
    const follow = name === "board" && props.value.running && nearEnd();
    patch(element, h("div", {}, VIEWS[name](props.value, { trigger, redraw, local, props, go, tab, element })).children);
    if (follow) scrollTo(0, document.documentElement.scrollHeight);
  };
  element.classList.add(`slm-${name}`);
  redraw();
  watch("value", redraw);
  if (name === "strip") document.addEventListener("visibilitychange", () => trigger("visibility"));
}

// Gradio's own `js=` handlers run outside of modules.
window.slm = { timers, mask };

const phone = matchMedia("(pointer: coarse)");

// A touch keyboard has no keys to name.
function shorten() {
  const prompt = document.querySelector("#slm-prompt textarea");
  if (phone.matches && prompt) prompt.placeholder = prompt.placeholder.replace(/ (Enter|Shift).*/, "");
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.hasAttribute("data-running") && !event.defaultPrevented)
    document.querySelector("#slm-stop")?.click();
}, false);

// On a touch keyboard Enter is the only way to a new line, so it must not send. Gradio listens
// to keypress.
for (const kind of ["keydown", "keypress"])
  document.addEventListener(kind, (event) => {
    if (event.key === "Enter" && phone.matches && event.target.closest?.("#slm-prompt")) event.stopPropagation();
  }, true);
