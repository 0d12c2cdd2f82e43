// The models' answers to a pushed prompt, side by side, with what is done below each.

import { h } from "./dom.js";

const STATES = { waiting: "waits for its turn", writing: "is writing", done: "", failed: "failed" };

export const answers = (push, below) =>
  h("div", { class: "slm-class-answers" }, push.answers.map((answer) =>
    h("section", { class: "slm-answer", key: answer.letter, "data-status": answer.status, "aria-label": `Answer ${answer.letter}` },
      h("header", { class: "slm-caption" }, h("b", {}, answer.letter), h("span", { class: "slm-name" }, answer.name || "name hidden"),
        h("span", { class: "slm-quiet" }, STATES[answer.status])),
      answer.text ? h("div", { class: "slm-text" }, answer.text) : null,
      answer.error ? h("p", { class: "slm-error" }, answer.error) : null,
      answer.votes === null ? null : tally(`${answer.votes}`, answer.share, `Votes for ${answer.letter}`),
      h("footer", { class: "slm-figures slm-num" }, answer.figures, below(answer)))));

export const tally = (text, share, label) =>
  h("div", { class: "slm-class-tally", role: "img", "aria-label": `${label}: ${text}` },
    h("span", { class: "slm-bars-track" }, h("span", { style: `width:${(share * 100).toFixed(1)}%` })),
    h("span", { class: "slm-num" }, text));
