// The ways to become small: what each does, who goes it, and where it was first described.

import { button, h } from "./dom.js";
import { exploreOnly, follow, state } from "./catalog_state.js";

export function ways(value, { redraw, local }) {
  follow(local, redraw);
  return value.groups.map((group) => [
    h("h3", { class: "slm-ways-group" }, group.title),
    h("div", { class: "slm-ways-grid" }, group.ways.map((way) => one(way))),
  ]);
}

function one(way) {
  const count = way.members.length;
  return h("section", { class: "slm-way", "data-id": way.id },
    h("h4", {}, way.name),
    h("p", {}, way.text),
    count
      ? [h("p", {}, button(count === 1 ? "1 model in Explore" : `${count} models in Explore`, "Show these models in the table",
            () => exploreOnly(way.name, way.members.map((member) => member.id)))),
         h("details", {}, h("summary", { class: "slm-quiet" }, "Which, and how"),
           h("ul", {}, way.members.map((member) => h("li", {}, state.names[member.id] || member.id, h("span", { class: "slm-quiet" }, `: ${member.why}`)))))]
      : h("p", { class: "slm-quiet" }, "No model of the catalog is published this way; it is done to one of them."),
    h("p", { class: "slm-papers slm-quiet" }, way.papers.map((paper, i) => [
      i ? "; " : null, h("a", { href: paper.url, target: "_blank", rel: "noopener noreferrer" }, paper.title), ` (${paper.year})`])));
}
