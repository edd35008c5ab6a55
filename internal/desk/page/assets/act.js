// What people do from here: each with a question first, and a reason where one is kept. And signing in.
import { $, el, text } from "./dom.js";
import { fullName } from "./words.js";
import { state, post, learnMe, listen, on, tell } from "./stream.js";

// mayAct says whether who looks may also act.
export const mayAct = () => state.me?.role === "operate" && state.me.name !== "";

export function say(words) { text($("said"), words); clearTimeout(say.timer); $("said").hidden = false; say.timer = setTimeout(() => { $("said").hidden = true; }, 6000); }

// ask opens a dialog: a question, fields, and a button that does it. do returns what to say when it is done.
function ask({ title, words, fields = [], button, bad, run }) {
  const d = $("dialog"), form = el("form", { method: "dialog" }), error = el("p", { class: "error", role: "alert", hidden: true });
  const go = el("button", { class: "go" + (bad ? " bad" : ""), type: "submit" }, button);
  form.append(el("h2", { id: "dialog-title" }, title), ...(words ? [el("p", {}, words)] : []), ...fields, error,
    el("p", { class: "buttons" }, el("button", { type: "button", onclick: () => d.close() }, "Cancel"), go));
  form.addEventListener("submit", async e => {
    e.preventDefault();
    go.disabled = true;
    text(go, "Under way …");
    error.hidden = true;
    // A reload takes as long as workers do. Who closes the dialog meanwhile is told of the end all the same.
    const here = () => d.open && form.isConnected;
    try {
      const done = await run(new FormData(form));
      if (here()) d.close();
      if (done) say(done);
    } catch (err) {
      if (!here()) return say(title + ": " + err.message);
      text(error, err.message);
      error.hidden = false;
      if (err.status === 401) learnMe().catch(() => {});
    }
    text(go, button);
    go.disabled = false;
  });
  d.replaceChildren(form);
  if (!d.open) d.showModal();
  (form.querySelector("input:not([type=checkbox]), textarea, select") || go).focus();
}

// told is a field of a form, where there is something in it.
const told = (f, name) => { const words = f.get(name).trim(); return words ? { [name]: words } : {}; };

const field = (label, input, hint) => el("label", { class: "field" }, el("span", {}, label), input, hint ? el("small", {}, hint) : null);

const reason = () => field("Reason", el("input", { name: "reason", maxlength: 200, placeholder: "for the others, and for you tomorrow" }));

// signedIn opens the sign-in first where that is needed, then does what was asked for.
function signedIn(then) {
  if (mayAct()) return then();
  if (state.me?.role === "operate" || state.me?.name) return say("This takes the role operate. You are signed in as " + (state.me.name || "nobody") + ", who may look.");
  signIn(then);
}

export function signIn(then) {
  if (!state.me?.login) return say("The configuration has no users or tokens: nobody can sign in. Act by the command line, or add users to admin.");
  const name = el("input", { name: "name", autocomplete: "username", autocapitalize: "off", spellcheck: "false" });
  const word = el("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  ask({
    title: "Sign in", button: "Sign in",
    fields: [field("Name", name, "Leave it empty to sign in with a token."), field("Password or token", word)],
    run: async f => {
      const who = f.get("name").trim();
      const before = state.me?.role;
      await post("/api/v1/login", who ? { name: who, password: f.get("password") } : { token: f.get("password") });
      await learnMe();
      if (!before || state.lost) listen();
      if (then && mayAct()) setTimeout(then);
      return "Signed in as " + state.me.name + ".";
    },
  });
}

export async function signOut() {
  try { await post("/api/v1/logout", {}); await learnMe(); say("Signed out."); if (!state.me.role) location.reload(); } catch (e) { say(e.message); }
}

const deeds = {
  drain: { title: "Drain", words: "It gets no new requests; whoever has a session there keeps it.", done: "is drained" },
  maint: { title: "Take out for maintenance", words: "It gets nothing at all until it is ready again.", done: "is in maintenance" },
  ready: { title: "Bring back", words: "It takes requests again, once its checks agree.", done: "is to take requests" },
  weight: { title: "Change the weight", words: "How much of the pool's work it gets, against the others. Empty: as configured.", done: "has another weight" },
};

// intervene asks whether a person means it, and why.
export function intervene(deed, pool, server, weight) {
  signedIn(() => {
    const d = deeds[deed], name = fullName(pool.name, server);
    const fields = [];
    if (deed === "weight") fields.push(field("Weight", el("input", { name: "weight", type: "number", min: 0, max: 1000, value: weight ?? "", inputmode: "numeric" })));
    fields.push(reason());
    const others = pool.servers.filter(s => s.state === "ready" && s.name !== server).length;
    ask({
      title: `${d.title}: ${name}`, words: d.words + ((deed === "drain" || deed === "maint") && others === 0 ? " No other server of this pool takes requests: the pool will be down." : ""),
      fields, button: d.title, bad: (deed === "drain" || deed === "maint") && others === 0,
      run: async f => {
        const what = { do: deed, pool: pool.name, server, reason: f.get("reason").trim() };
        if (deed === "weight" && f.get("weight") !== "") what.weight = Number(f.get("weight"));
        await post("/api/v1/intervention", what);
        tell("hello");
        return name + " " + d.done + ".";
      },
    });
  });
}

export function reload(app) {
  signedIn(() => ask({
    title: app ? "Reload " + app : "Reload", button: "Reload",
    words: app ? "Its workers are replaced one after the other; no request is lost." : "The configuration is read again, and comes into force if there is no mistake in it. No request is lost.",
    fields: [reason()],
    run: async f => { await post("/api/v1/reload", { ...(app ? { app } : {}), ...told(f, "reason") }); tell("hello"); return app ? app + " has been reloaded." : "The configuration is in force."; },
  }));
}

export function purge(url) {
  signedIn(() => {
    const kind = el("select", { name: "kind" }, el("option", { value: "urls" }, "addresses, with all their variants"), el("option", { value: "prefixes" }, "all that begins with host/path"),
      el("option", { value: "patterns" }, "patterns: host/path with *"), el("option", { value: "tags" }, "tags"), el("option", { value: "all" }, "everything"));
    const area = el("textarea", { name: "what", rows: 4, spellcheck: "false", placeholder: "http://www.example.com/news" }, url || "");
    const what = field("Which, one a line", area);
    kind.addEventListener("change", () => { what.hidden = kind.value === "all"; });
    ask({
      title: "Purge from the cache", button: "Purge", fields: [field("What", kind), what,
        el("label", { class: "check" }, el("input", { type: "checkbox", name: "soft" }), " softly: what is kept may be served while it is fetched anew"), reason()],
      run: async f => {
        const k = f.get("kind"), list = f.get("what").split("\n").map(s => s.trim()).filter(Boolean);
        if (k !== "all" && !list.length) throw new Error("Write what is to go, one a line.");
        const done = await post("/api/v1/purge", { ...(k === "all" ? { all: true } : { [k]: list }), ...(f.get("soft") ? { soft: true } : {}), ...told(f, "reason") });
        tell("hello");
        return ["Purged" + (done?.purges ? `: ${done.purges}` : "") + ".", ...(done?.notes || [])].join(" ");
      },
    });
  });
}

const why = () => field("Why", el("input", { name: "why", maxlength: 200 }));

// acknowledge says that somebody has an alert in hand: it is not told again.
export function acknowledge(alert) {
  const id = alert.subject ? alert.rule + " " + alert.subject : alert.rule;
  signedIn(() => ask({ title: "Acknowledge: " + id, words: "You have it in hand: it is not told again while it lasts.", fields: [why()], button: "Acknowledge",
    run: async f => { await post("/api/v1/alerts/acknowledge", { alert: id, why: f.get("why").trim() }); tell("hello"); return "Acknowledged."; } }));
}

export function silence(alert) {
  const long = el("select", { name: "for" }, ...[["30m", "half an hour"], ["2h", "two hours"], ["8h", "eight hours"], ["24h", "a day"], ["168h", "a week"]].map(([v, n]) => el("option", { value: v }, n)));
  signedIn(() => ask({ title: "Silence: " + [alert.rule, alert.subject].filter(Boolean).join(" "), words: "Nobody is told of it for so long, whether it goes on or comes back.", fields: [field("For", long), why()], button: "Silence",
    run: async f => { await post("/api/v1/alerts/silence", { rule: alert.rule, subject: alert.subject, for: f.get("for"), why: f.get("why").trim() }); tell("hello"); return "Silenced."; } }));
}

export function unsilence(s) {
  signedIn(() => ask({ title: "End the silence", words: "Who is to be told of it is told again.", button: "End it", run: async () => { await post("/api/v1/alerts/silence", { end: s.id }); tell("hello"); return "The silence is over."; } }));
}

export function help() {
  const keys = [["/", "filter: pool, server, state, address"], ["j k", "down, up in the table"], ["Enter", "open what is chosen: details, or a pool's servers"], ["p", "only what is not well"],
    ["d m r w", "drain, maintenance, ready, weight of the chosen server"], ["+ −", "open, close all pools"], ["1 2 3 4", "ten minutes, three hours, a day, a week"], ["t", "dark or light"], ["?", "this"], ["Esc", "close, or empty the filter"]];
  const d = $("dialog");
  d.replaceChildren(el("form", { method: "dialog" }, el("h2", { id: "dialog-title" }, "Keys"),
    el("dl", { class: "keys" }, ...keys.flatMap(([k, w]) => [el("dt", {}, ...k.split(" ").map(x => el("kbd", {}, x))), el("dd", {}, w)])),
    el("p", { class: "buttons" }, el("button", { class: "go" }, "Close"))));
  d.showModal();
}
