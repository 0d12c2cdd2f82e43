// Finding rows by words and facets, in the browser. Words are found as in catalog/search.py.

import { state, VERDICTS, verdict } from "./catalog_state.js";

const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
const WORD = /[\p{L}\p{N}]/u;
const DIGIT = /\p{Nd}/u;

// A row's text without spaces and hyphens, and where in it words begin; a digit begins one too.
export function index(row) {
  const starts = [];
  let joined = "";
  let before = "";
  for (const character of row.text) {
    if (WORD.test(character)) {
      if (!WORD.test(before) || DIGIT.test(before) !== DIGIT.test(character)) starts.push(joined.length);
      joined += character;
    }
    before = character;
  }
  return { joined, starts };
}

export const words = (query) =>
  fold(query).split(/\s+/).map((word) => [...word].filter((c) => WORD.test(c)).join("")).filter(Boolean);

export const matches = (found, wanted) =>
  wanted.every((word) => found.starts.some((at) => found.joined.startsWith(word, at)));

// [key, title, the values of a row]. Within one facet any chosen value will do.
export const FACETS = [
  ["kind", "Kind", (row) => [row.kind]],
  ["family", "Family", (row) => [row.family]],
  ["tasks", "Task", (row) => row.tasks],
  ["use", "Commercial use", (row) => [row.use]],
  ["attention", "Attention", (row) => row.attention],
  ["size", "Size", (row) => [row.size]],
  ["band", "Context", (row) => [row.band]],
  ["year", "Year", (row) => [row.year === null ? null : String(row.year)]],
  ["fit", "Fits", (row) => [VERDICTS[verdict(row.id)]]],
  ["here", "Here", (row) => [row.shipped ? "shipped" : null, state.fit.here.includes(row.id) ? "runs now" : null]],
];
const ORDERS = { fit: VERDICTS, here: ["runs now", "shipped"] };

const passes = (row, [key, , values]) => {
  const chosen = state.facets[key];
  return !chosen || !chosen.length || values(row).some((value) => chosen.includes(value));
};

// The rows that match, and for every facet its values with how many rows each would leave.
export function find(rows, query, orders) {
  const wanted = words(query);
  const worded = rows.filter((row) =>
    (!state.only || state.only.ids.includes(row.id)) && (!wanted.length || matches(row.index, wanted)));
  const shown = worded.filter((row) => FACETS.every((facet) => passes(row, facet)));
  const facets = FACETS.map((facet) => {
    const [key, title, values] = facet;
    const others = FACETS.filter((each) => each !== facet);
    const counts = {};
    for (const row of worded)
      if (others.every((each) => passes(row, each)))
        for (const value of values(row)) if (value !== null) counts[value] = (counts[value] || 0) + 1;
    return { key, title, values: (ORDERS[key] || orders[key]).map((value) => ({ value, count: counts[value] || 0 })) };
  });
  return { shown, facets };
}

export function toggleFacet(key, value) {
  const chosen = state.facets[key] || [];
  const after = chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value];
  state.facets = { ...state.facets, [key]: after };
}
