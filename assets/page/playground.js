// What a model is for: the choice of a use above the lanes, and a lane's model as code.

import { button, copy, h } from "./dom.js";

export function uses(value, { trigger }) {
  const others = value.others || [];
  return [
    h("div", { class: "slm-uses-row", role: "radiogroup", "aria-label": "What the models are asked to do",
      onkeydown: arrows },
      value.uses.map((use) => {
        const chosen = use.id === value.chosen;
        return h("button", { type: "button", role: "radio", "aria-checked": String(chosen), tabindex: chosen ? 0 : -1,
          class: "slm-use", "data-use": use.id, title: use.title,
          onclick: () => { if (!chosen) trigger("use", { id: use.id }); } },
          use.label, h("span", { class: "slm-num slm-quiet" }, String(use.count)));
      })),
    h("p", { class: "slm-quiet" }, value.about,
      others.length ? h("details", { class: "slm-others" },
        h("summary", {}, `${others.length} other ${others.length === 1 ? "model" : "models"} here cannot do this`),
        h("ul", {}, others.map((other) => h("li", {}, h("b", {}, other.name), ` ${other.reason}`)))) : null),
  ];
}

// Arrow keys move between radios, as in any group of them.
function arrows(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll("[role=radio]")];
  const next = all[(all.indexOf(event.target) + step + all.length) % all.length];
  next.focus();
  next.click();
}

export function code(value, { trigger }) {
  if (!value.code) return [];
  return [
    h("section", { "aria-label": value.title },
      h("header", {}, h("b", {}, value.title), h("span", { class: "slm-quiet" }, value.note),
        button("Copy", "Copy the code", () => copy(value.code)),
        button("Close", "Fold the code away", () => trigger("close"))),
      h("pre", { tabindex: 0 }, h("code", {}, value.code))),
  ];
}

// The word that is selected in the writer, or the place of the cursor, becomes the mask.
export function mask() {
  const area = document.querySelector("#slm-prompt textarea");
  const [start, end] = [area.selectionStart, area.selectionEnd];
  area.setRangeText("[MASK]", start, end, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
}
