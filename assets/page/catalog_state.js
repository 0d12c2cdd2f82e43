// What the catalog's views share in this browser tab: the lights, the models chosen to compare,
// the card that is open, and what the table is asked to show.

export const MOST = 6;

export const state = {
  fit: { fits: {}, here: [] }, // the value of the fit view
  picks: [], // ids to compare, in the order of choosing
  chosen: null, // the id of the open card
  facets: {}, // facet -> chosen values
  only: null, // { title, ids }: show these models alone
  names: {}, // id -> name of every card
};

const followers = new Set();

export function follow(local, redraw) {
  if (!local.follows) followers.add(redraw);
  local.follows = true;
}

export function change(values) {
  Object.assign(state, values);
  for (const redraw of followers) redraw();
}

export function togglePick(id, trigger) {
  const have = state.picks.includes(id);
  if (!have && state.picks.length >= MOST) return;
  const picks = have ? state.picks.filter((each) => each !== id) : [...state.picks, id];
  change({ picks });
  trigger("pick", { ids: picks });
}

// To another part of the catalog; the tabs are Gradio's.
export function openPart(name) {
  const click = (buttons) => {
    const tab = [...document.querySelectorAll(`#slm-catalog-tabs ${buttons}`)].find((each) => each.textContent.trim() === name);
    tab?.click();
    return Boolean(tab);
  };
  if (click("button[role=tab]")) return;
  // What a narrow page has no room for is in a menu, which is made when it opens.
  document.querySelector("#slm-catalog-tabs .overflow-menu > button")?.click();
  setTimeout(() => click(".overflow-dropdown button"), 50);
}

export const exploreOnly = (title, ids) => {
  change({ only: { title, ids }, facets: {} });
  openPart("Explore");
};

const LIGHTS = ["good", "warn", "bad", "none"];
export const VERDICTS = ["fits", "tight", "too big", "n/a"];

export const verdict = (id) => (state.fit.fits[id] || [3])[0];
export const light = (code, text) => ["span", { class: `slm-light slm-${LIGHTS[code]}` }, text ?? VERDICTS[code]];

export function bytes(count) {
  if (count === null || count === undefined) return "n/a";
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (Math.abs(count) < 999.5) return `${Number(count.toPrecision(3))} ${unit}`;
    count /= 1000;
  }
  return `${Number(count.toPrecision(3))} TB`;
}
