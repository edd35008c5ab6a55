// What the page knows, and how it hears of it: one stream, and a few questions when there is a reason to ask.

export const state = { picture: null, before: null, me: null, lost: false };

const listeners = { picture: [], event: [], me: [], lost: [], hello: [] };

export function on(what, f) { listeners[what].push(f); }

export function tell(what, value) { for (const f of listeners[what]) f(value); }

// Failed is an answer that says no, in weir's words.
export class Failed extends Error {
  constructor(status, words) { super(words); this.status = status; }
}

// get asks for JSON.
export async function get(path) { return answer(await fetch(path, { headers: { Accept: "application/json" } })); }

// post asks for something to be done.
export async function post(path, what) {
  const headers = { "Content-Type": "application/json" };
  if (state.me?.csrf) headers["X-Weir-CSRF"] = state.me.csrf;
  return answer(await fetch(path, { method: "POST", headers, body: JSON.stringify(what) }));
}

async function answer(r) {
  const body = await r.text();
  let value = null;
  try { value = body ? JSON.parse(body) : null; } catch { /* not JSON: the status says enough */ }
  if (!r.ok) throw new Failed(r.status, value?.error || body.slice(0, 200) || "the status page answers " + r.status);
  return value;
}

// lines asks for objects that stand on a line each. One that makes no sense is left out.
export async function lines(path) {
  const r = await fetch(path);
  if (!r.ok) throw new Failed(r.status, "no log");
  return (await r.text()).split("\n").filter(Boolean).map(line => {
    try { return JSON.parse(line); } catch { return null; }
  }).filter(Boolean);
}

export async function learnMe() {
  state.me = await get("/api/v1/me");
  tell("me", state.me);
}

const patience = 4000; // milliseconds without a picture before it is said that there is none

let source, begun = 0, heard = 0, waits = 0, timer = 0;

// listen opens the stream. A browser gives up after an answer that is an error, so trying again is ours.
export function listen() {
  clearTimeout(timer);
  source?.close();
  const mine = source = new EventSource("/api/v1/stream");
  begun = Date.now();
  source.addEventListener("picture", e => {
    let p;
    try { p = JSON.parse(e.data); } catch { return; }
    heard = Date.now();
    waits = 0;
    state.before = state.picture;
    state.picture = p;
    if (state.lost || !state.before) {
      state.lost = false;
      tell("lost", false);
      tell("hello");
    }
    tell("picture", p);
  });
  source.addEventListener("event", e => {
    try { tell("event", JSON.parse(e.data)); } catch { /* half an event is none */ }
  });
  source.onerror = () => { if (mine === source && mine.readyState === EventSource.CLOSED) again(); };
}

async function again() {
  const was = source;
  was.close();
  lose();
  try {
    await learnMe();
    if (!state.me.role) return; // nothing to see before somebody signs in
  } catch { /* nobody answers */ }
  if (source !== was) return; // it has been opened anew meanwhile
  timer = setTimeout(listen, Math.min(1000 * 2 ** waits++, 8000));
}

function lose() {
  if (!state.lost && state.picture) { state.lost = true; tell("lost", heard); }
}

export function watch() {
  setInterval(() => {
    if (!heard || Date.now() - heard < patience) return;
    lose();
    // Over a slow line the first picture takes its time: a stream is given as much before the next one.
    if (Date.now() - Math.max(heard, begun) > 3 * patience && source?.readyState === EventSource.OPEN) listen(); // half open: nobody will tell
  }, 1000);
  // A page that comes back from the background, or from sleep, does not wait for its turn.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && state.lost) { waits = 0; listen(); }
  });
}
