// Claims and corrections, and small models beside large ones.

import { button, h } from "./dom.js";
import { exploreOnly, follow, state } from "./catalog_state.js";
import { words } from "./catalog_search.js";

export const correction = (each) =>
  h("article", { class: "slm-claim", "data-id": each.id },
    h("p", { class: "slm-wrong" }, h("span", { class: "slm-verdict" }, "Said"), h("s", {}, each.claim)),
    h("p", {}, h("span", { class: "slm-verdict slm-right-word" }, "Right"), each.fact,
      each.verified ? null : h("span", { class: "slm-chip slm-warn", title: each.source }, "from memory, unverified")),
    h("p", { class: "slm-quiet slm-source" }, "Source: ", each.source));
