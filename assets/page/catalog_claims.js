// Claims and corrections, and small models beside large ones.

import { button, h } from "./dom.js";
import { exploreOnly, follow, state } from "./catalog_state.js";
import { words } from "./catalog_search.js";

export const correction = (each) =>
  h("article", { class: "slm-claim", "data-id": each.id },
    h("p", { class: "slm-wrong" }, h("span", { class: "slm-verdict" }, "Said"), h("q", {}, each.claim)),
    h("p", {}, h("span", { class: "slm-verdict slm-right-word" }, "Right"), each.fact,
      each.verified ? null : h("span", { class: "slm-chip slm-warn", title: each.source }, "from memory, unverified")),
    h("p", { class: "slm-quiet slm-source" }, "Source: ", each.source));

export function claims(value, { redraw, local }) {
  follow(local, redraw);
  local.query ||= "";
  local.topic ||= "";
  const wanted = words(local.query);
  const text = (each) => words([each.claim, each.fact, each.topic, ...each.cards.map((id) => state.names[id] || id)].join(" ")).join(" ");
  const shown = value.claims.filter((each) =>
    (!local.topic || each.topic === local.topic) && wanted.every((word) => text(each).includes(word)));
  return [
    h("div", { class: "slm-claim-tools" },
      h("input", { type: "search", placeholder: "Search claims, facts, models…", "aria-label": "Search the claims", value: "",
        oninput: (event) => { local.query = event.target.value; redraw(); } }),
      h("select", { "aria-label": "Topic", onchange: (event) => { local.topic = event.target.value; redraw(); } },
        h("option", { value: "" }, "All topics"), value.topics.map((topic) => h("option", { value: topic }, topic))),
      h("span", { class: "slm-quiet slm-num", role: "status" }, `${shown.length} of ${value.claims.length}`)),
    h("div", { class: "slm-claims-list" }, shown.map((each) =>
      h("div", {}, correction(each),
        each.cards.length
          ? h("p", { class: "slm-claim-models" }, each.cards.map((id) =>
              button(state.names[id] || id, "Show it in Explore", () => exploreOnly(state.names[id] || id, [id]))))
          : null))),
  ];
}
