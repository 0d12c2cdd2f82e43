// What the lanes write while they run, asked for beside Gradio's events: see ui/live.py.

// As often as the server has something new: often at first, then as one reads.
const OFTEN_MS = 100;
const SETTLED_MS = 250;
const GLANCE_MS = 2000;

const at = (path) => new URL(`slm-live/${path}`, document.baseURI);

// Ask as long as the run of this ticket goes on and the page is seen. `local.newest` is what came.
export function follow(live, local, redraw) {
  if (local.ticket === live?.ticket) return;
  local.ticket = live?.ticket;
  local.newest = null;
  if (!live) return;
  if (!local.leaves) {
    local.leaves = true;
    addEventListener("pagehide", () => local.ticket && fetch(at(`end/${local.ticket}`), { keepalive: true }));
  }
  const began = performance.now();
  const again = () => setTimeout(ask, performance.now() - began < GLANCE_MS ? OFTEN_MS : SETTLED_MS);
  const ask = async () => {
    if (local.ticket !== live.ticket) return;
    if (!document.hidden) await newer(live.ticket);
    again();
  };
  const newer = async (ticket) => {
    const answer = await fetch(at(`run/${ticket}?after=${local.newest?.flush ?? live.flush}`)).catch(() => null);
    if (answer?.status !== 200) return;
    const newest = await answer.json();
    if (local.ticket !== ticket) return;
    local.newest = newest;
    redraw();
  };
  ask();
}

// The turns of a board, with what came beside it where that is newer.
export function latest(value, local) {
  const newest = local.newest;
  if (!value.live || !newest || newest.flush < value.live.flush) return value.turns;
  const { turn, answers } = newest.shown;
  return value.turns.map((each, index) => (index === turn ? { ...each, answers } : each));
}
