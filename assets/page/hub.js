// The Hub: a model's facts before its download, the downloads, and what is on this disk.

import { bar, button, h } from "./dom.js";

const LIGHTS = { fits: "good", tight: "warn", "too big": "bad", "n/a": "none" };
const error = (text) => (text ? h("p", { class: "slm-error", role: "alert" }, text) : null);

export function hub(value, { trigger, redraw, local }) {
  local.id ||= "";
  local.revision ||= "";
  const asking = local.asked === value.answer;
  const ask = (event) => {
    event.preventDefault();
    local.asked = value.answer;
    trigger("look_up", { id: local.id, revision: local.revision });
    redraw();
  };
  const field = (name, label, placeholder) =>
    h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, label),
      h("input", { type: "text", "aria-label": label, placeholder, value: "", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
        disabled: value.refused ? "" : null, oninput: (event) => { local[name] = event.target.value; } }));
  return [
    value.refused ? h("p", { class: "slm-quiet slm-reason" }, value.refused) : null,
    h("form", { class: "slm-hub-form", onsubmit: ask },
      field("id", "Model on the Hub", "maker/model"),
      field("revision", "Revision", "main"),
      h("button", { type: "submit", class: "slm-primary", disabled: value.refused || asking ? "" : null }, "Look up")),
    h("div", { role: "status" }, asking ? h("p", { class: "slm-quiet" }, "Asking the Hub…") : null),
    asking ? null : error(value.error),
    !asking && value.found ? found(value.found, trigger) : null,
  ].filter(Boolean);
}

function found(model, trigger) {
  const why = model.problem || (model.here ? "It is on this disk already." : "");
  return h("section", { class: "slm-hub-found", "aria-label": model.id, key: `${model.id} ${model.commit}` },
    h("header", { class: "slm-card-head" }, h("h2", {}, model.id),
      h("button", { type: "button", class: "slm-primary", disabled: why ? "" : null, title: why || "Fetch it at this commit",
        onclick: () => trigger("download", { id: model.id, revision: model.commit }) }, model.here ? "On this disk" : "Download")),
    model.problem ? h("p", { class: "slm-error" }, model.problem) : null,
    h("p", {}, h("span", { class: `slm-light slm-${LIGHTS[model.verdict]}` }, model.verdict), " on this machine: ", model.fit.replace(/^n\/a: /, "")),
    h("dl", { class: "slm-facts" }, model.facts.map(([label, text]) => [h("dt", {}, label), h("dd", { class: "slm-num" }, text)])),
    h("details", { class: "slm-fold" }, h("summary", {}, `${model.files.length} files; those marked are downloaded`),
      h("ul", { class: "slm-hub-files" }, model.files.map(([name, size, needed]) =>
        h("li", { class: needed ? "slm-needed" : "slm-quiet" },
          h("span", { "aria-label": needed ? "downloaded" : "left out" }, needed ? "✓" : "–"), h("span", {}, name), h("span", { class: "slm-num" }, size))))));
}

export function downloads(value, { trigger }) {
  if (!value.downloads.length) return value.error ? [error(value.error)] : [];
  return [
    h("h3", {}, "Downloads"),
    error(value.error),
    h("ul", { class: "slm-hub-list" }, value.downloads.map((each) =>
      h("li", { key: each.id, "data-id": each.id, "data-status": each.status },
        h("span", { class: "slm-hub-name" }, each.id),
        bar(each.share, `Download of ${each.id}`),
        h("span", { class: each.status === "failed" ? "slm-error slm-hub-said" : "slm-num slm-hub-said", role: "status" }, each.sentence),
        each.ended
          ? each.status === "done" ? null : button("Try again", "What came is kept", () => trigger("again", { id: each.id, revision: each.revision }))
          : button("Cancel", "Stop it; what came is kept", () => trigger("cancel", { id: each.id }))))),
  ].filter(Boolean);
}

export function local(value, { trigger, redraw, local: mine }) {
  const remove = (model) => {
    if (mine.sure !== model.id) mine.sure = model.id;
    else {
      mine.sure = null;
      trigger("delete", { id: model.id });
    }
    redraw();
  };
  return [
    h("h3", {}, "On this disk"),
    error(value.error),
    h("ul", { class: "slm-hub-list slm-local-list" }, value.models.map((model) =>
      h("li", { key: model.id, "data-id": model.id },
        h("span", { class: "slm-hub-name", title: model.hub_id || null }, model.name),
        h("span", { class: "slm-num slm-hub-facts" },
          [model.size, model.partial ? `of it ${model.partial} unfinished` : null, model.shipped ? "shipped with the app" : `last used ${model.used}`,
            model.shipped ? null : `revision ${model.revision.slice(0, 12)}`].filter(Boolean).join(" · ")),
        h("span", { class: "slm-hub-said" },
          model.problem ? h("span", { class: "slm-quiet" }, model.problem) : h("span", { class: "slm-light slm-good" }, "can run"),
          model.error ? h("span", { class: "slm-error", role: "alert" }, ` ${model.error}`) : null),
        h("span", { class: "slm-hub-actions" },
          model.problem ? null : button("Open in Chat", `Put ${model.name} into a lane`, () => trigger("open_chat", { id: model.id })),
          model.deletable
            ? button(mine.sure === model.id ? `Really delete ${model.size}?` : "Delete", `Delete ${model.name} from this disk`, () => remove(model),
                { onblur: () => { if (mine.sure === model.id) { mine.sure = null; redraw(); } }, class: mine.sure === model.id ? "slm-button slm-error" : "slm-button" })
            : null)))),
  ].filter(Boolean);
}
