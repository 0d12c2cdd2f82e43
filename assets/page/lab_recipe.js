// A recipe as text and as what is chosen: `drop-layers:2+heal:5+int4`.

// name -> the text after the colon, in the order of writing; null where nothing follows.
export function parsed(text) {
  const steps = new Map();
  for (const word of text.split("+")) {
    const [name, ...rest] = word.trim().split(":");
    if (name) steps.set(name, rest.length ? rest.join(":").trim() : null);
  }
  return steps;
}

// Steps are done from left to right: first what changes the shape, then what trains, then how
// the weights are stored; `native` goes without saying where anything else is said.
export function written(steps, known) {
  const place = ([name]) => known.findIndex((each) => each.name === name);
  const said = [...steps].filter(([name]) => name !== "native" || steps.size === 1);
  return said.sort((a, b) => place(a) - place(b)).map(([name, value]) => (value === null || value === "" ? name : `${name}:${value}`)).join("+") || "native";
}

// `4,width=128,fresh` as name -> text: the first, nameless one under "", words without a number
// under their name with null.
export function options(value) {
  const found = new Map();
  for (const part of (value || "").split(",")) {
    const [key, text] = part.split("=").map((each) => each.trim());
    if (text !== undefined) found.set(key, text);
    else if (key && !Number.isNaN(Number(key))) found.set("", key);
    else if (key) found.set(key, null);
  }
  return found;
}

export const optionText = (given) =>
  [...given].filter(([, text]) => text !== "").sort(([a], [b]) => (a === "" ? -1 : b === "" ? 1 : 0)).map(([key, text]) => (key === "" ? text : text === null ? key : `${key}=${text}`)).join(",");
