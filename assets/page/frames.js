// A loop that asks for a frame in every frame keeps the browser at sixty frames a second, on cores
// that the models compute with. Gradio's status tracker does so for as long as a page is open,
// though it shows nothing. What has gone on for longer than any animation here is slowed down.
(() => {
  const request = window.requestAnimationFrame.bind(window);
  const cancel = window.cancelAnimationFrame.bind(window);
  const LONG = 60;
  const PAUSE_MS = 500;
  // How many frames in a row led to the callback that runs now.
  let row = 0;
  // Those that wait for their pause to end, by negative numbers, which no frame has.
  const waiting = new Map();
  let last = 0;
  window.requestAnimationFrame = (callback) => {
    const mine = row + 1;
    const run = (now) => {
      row = mine;
      try {
        callback(now);
      } finally {
        row = 0;
      }
    };
    if (mine <= LONG) return request(run);
    last -= 1;
    const id = last;
    waiting.set(id, setTimeout(() => {
      waiting.delete(id);
      request(run);
    }, PAUSE_MS));
    return id;
  };
  window.cancelAnimationFrame = (id) => {
    clearTimeout(waiting.get(id));
    waiting.delete(id);
    cancel(id);
  };
})();
