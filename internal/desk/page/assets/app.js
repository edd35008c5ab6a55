// The page: what is told each second is passed to the parts that show it, and keys to the parts that act.
import { $, text, attr, cls } from "./dom.js";
import { state, on, listen, learnMe, watch } from "./stream.js";
import { count, many, rate, bytes, ms, took, share, span, clock } from "./format.js";
import { fullName } from "./words.js";
import { River } from "./river.js";
import { Charts } from "./charts.js";
import { Table } from "./table.js";
import { Details } from "./details.js";
import { Panels } from "./panels.js";
import { signIn, signOut, mayAct, intervene, reload, purge, help, say } from "./act.js";

const charts = new Charts();
const table = new Table(row => details.show(row));
const details = new Details(table, charts);
const panels = new Panels(table, details);
const river = new River($("river"), words => { if (Date.now() - river.said > 10000 || !river.said) { river.said = Date.now(); attr($("river"), "aria-label", words); } });

// verdict is one sentence that says whether somebody has to do something.
function verdict(p) {
  const bad = [], servers = p.pools.flatMap(o => o.servers), ready = servers.filter(s => s.state === "ready").length;
  if (!p.edge.up) return ["down", "The edge does not answer.", "What is shown of traffic is what was known last."];
  const down = p.pools.filter(o => o.state === "down"), half = p.pools.filter(o => o.state === "degraded");
  const failing = (p.apps || []).flatMap(a => a.workers.filter(w => w.looping));
  if (down.length) bad.push(names(down) + (down.length > 1 ? " are down." : " is down."));
  if (half.length) bad.push(names(half) + (half.length > 1 ? " are degraded." : " is degraded."));
  const alone = p.pools.filter(o => o.state === "up").flatMap(o => o.servers.filter(s => s.state === "down").map(s => ({ name: fullName(o.name, s.name) })));
  if (alone.length) bad.push(names(alone) + (alone.length > 1 ? " are down." : " is down."));
  if (failing.length) bad.push("In a crash loop: " + names(failing) + "." + (failing[0].last ? " " + first(failing[0].last) : ""));
  const often = p.total.errors > 0 && p.total.rate > 0 && p.total.errors / p.total.rate > 0.01;
  if (often) bad.push(share(p.total.errors / p.total.rate) + " of requests fail.");
  if (p.problem) bad.push(first(p.problem));
  if (state.firing?.length) bad.push((state.firing.length > 1 ? state.firing.length + " alerts: " : "Alert: ") + state.firing.slice(0, 2).map(a => first(a.text).slice(0, -1)).join("; ") + (state.firing.length > 2 ? " …" : "."));
  const all = `${count(ready)} of ${count(servers.length)} servers take requests`;
  if (bad.length) return [down.length ? "down" : "degraded", bad[0], [why([...down, ...half][0]), ...bad.slice(1), all + "."].filter(Boolean).join(" ")];
  if (!servers.length) return ["up", "All well.", "No pool is configured: weir answers by itself."];
  return ["up", "All well.", ready < servers.length ? all + "." : ready === 1 ? "The server takes requests." : `All ${count(ready)} servers take requests.`];
}

// why is what is known of the first server of a pool that takes nothing: where to look.
function why(o) {
  const s = o?.servers.find(s => s.state !== "ready" && s.why);
  return s ? first(`${fullName(o.name, s.name)}: ${s.why}`) : "";
}

// first is a text's first line as a sentence: the rest stands further down.
function first(text) {
  const line = text.trim().split("\n")[0].replace(/\.$/, "");
  return line.length > 200 ? line.slice(0, 199) + "…" : line + ".";
}

const names = list => list.slice(0, 3).map(o => o.name).join(", ") + (list.length > 3 ? ` and ${list.length - 3} more` : "");

function vitals(p) {
  const t = p.total, waiting = p.pools.reduce((n, o) => n + o.queued, 0), longest = Math.max(0, ...p.pools.map(o => o.queue_p95 || 0));
  const put = (id, value, note, hue = "") => { text($("v-" + id), value); text($("v-" + id + "-note"), note); cls($("v-" + id).parentNode, "vital " + hue); };
  put("rate", rate(t.rate), "most " + rate(t.rate_max));
  put("errors", rate(t.errors), t.rate ? share(t.errors / t.rate) + " of all" : "", t.errors > 0 ? "bad" : "");
  put("p50", ms(t.p50), "the median");
  put("p95", ms(t.p95), "p99 " + ms(t.p99));
  put("hit", share(t.hit_ratio), t.hit_ratio >= 0 ? "of what could be" : p.cache ? "nothing was asked" : "no route has a cache");
  put("active", count(p.edge.active), many(p.edge.connections, "connection"));
  put("waiting", count(waiting), longest ? "p95 " + took(longest) : "in queues", waiting > 0 ? "warn" : "");
  put("out", bytes(t.out_rate), bytes(t.in_rate) + " in");
}

let told = "";

function head(p) {
  const [hue, first, rest] = verdict(p);
  cls($("verdict"), "verdict " + hue);
  text($("verdict-first"), first);
  text($("verdict-rest"), rest);
  // Screen readers hear of a change of what matters, not of numbers.
  const matters = first.replace(/<?[\d.]+ %/g, "");
  if (matters !== told) { told = matters; text($("live"), first + " " + rest); }
  text($("node"), p.node);
  attr($("node"), "title", `weir ${p.version}, up ${span((new Date(p.at) - new Date(p.since)) / 1000)}, ${p.file}`);
  const title = (hue === "up" ? "" : hue === "down" ? "✕ " : "! ") + p.node + " · weir";
  if (document.title !== title) document.title = title;
}

let waits = false;

function render() {
  waits = false;
  const p = state.picture;
  if (!p || document.hidden) return;
  cls(document.documentElement, "");
  table.take(p); // before the others: it asks where it lies, and what has been changed would have to be laid out for that
  head(p);
  vitals(p);
  river.draw(p, state.before);
  details.take();
  panels.take(p);
  charts.take(p);
}

function later() { if (!waits) { waits = true; requestAnimationFrame(render); } }

on("picture", p => {
  // Lists that are empty may be left out by whoever made the picture.
  for (const key of ["sites", "routes", "pools", "apps"]) p[key] ||= [];
  for (const o of p.pools) o.servers ||= [];
  const processes = new Map((p.facts?.processes || []).map(x => [x.pid, x]));
  for (const a of p.apps) {
    a.workers ||= [];
    // The keeper measures memory where it counts for something; else the machine's facts know it.
    for (const w of a.workers) w.memory ||= processes.get(w.pid)?.memory || 0;
  }
  later();
});
document.addEventListener("visibilitychange", later);
addEventListener("resize", later);

on("lost", since => {
  document.body.classList.toggle("lost", !!since);
  $("lost").hidden = !since;
  if (since) { document.title = "? " + (state.picture?.node || "") + " · weir"; told = ""; text($("live"), "No word from weir."); }
  if (since) text($("lost-words"), `No word from weir since ${clock(new Date(since))}. This is the last picture; trying again.`);
});

on("me", me => {
  const b = $("sign");
  text(b, me.csrf ? "Sign out " + me.name : "Sign in");
  b.hidden = !me.login && !me.csrf;
  b.onclick = () => me.csrf ? signOut() : signIn();
  document.body.classList.toggle("may", mayAct());
  attr($("closed"), "hidden", me.role ? true : null);
  text($("version"), me.version);
  if (!me.role && !$("dialog").open) signIn();
});

// What can be done to everything.
$("do-reload").addEventListener("click", () => reload());
$("do-purge").addEventListener("click", () => purge());
$("help").addEventListener("click", help);
$("theme").addEventListener("click", theme);
$("only-bad").addEventListener("click", onlyBad);
$("open-all").addEventListener("click", () => table.all(true));
$("close-all").addEventListener("click", () => table.all(false));
$("filter").addEventListener("input", e => table.filter(e.target.value));

function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("weir-theme", dark ? "light" : "dark"); } catch { /* for this once, then */ }
  charts.restyle();
}

function onlyBad() {
  const b = $("only-bad"), now = b.getAttribute("aria-pressed") !== "true";
  b.setAttribute("aria-pressed", String(now));
  table.problems(now);
}

document.addEventListener("keydown", e => {
  if ($("dialog").open || e.ctrlKey || e.metaKey || e.altKey) return;
  const typing = e.target.matches("input, textarea, select");
  if (e.key === "Escape") {
    if (e.target === $("filter")) { if ($("filter").value) { $("filter").value = ""; table.filter(""); } else $("filter").blur(); return; }
    if (!details.close() && $("filter").value) { $("filter").value = ""; table.filter(""); }
    return;
  }
  if (typing) {
    if (e.key === "Enter" && e.target === $("filter")) { e.preventDefault(); table.chosen = null; table.step(1); }
    return;
  }
  const row = table.row(), deed = { d: "drain", m: "maint", r: "ready", w: "weight" }[e.key];
  if (deed) {
    if (row?.s) { e.preventDefault(); intervene(deed, row.pool, row.name, row.s.weight); } else say("Choose a server first, by j and k.");
    return;
  }
  const keys = {
    "/": () => $("filter").focus(), j: () => table.step(1), k: () => table.step(-1), ArrowDown: inTable(1), ArrowUp: inTable(-1), p: onlyBad, t: theme, "?": help,
    o: () => row && (row.fold ? table.toggle(row) : details.show(row)), "+": () => table.all(true), "-": () => table.all(false), "−": () => table.all(false),
    1: () => charts.choose(charts.of, "10m"), 2: () => charts.choose(charts.of, "3h"), 3: () => charts.choose(charts.of, "1d"), 4: () => charts.choose(charts.of, "1w"),
  };
  function inTable(by) { return e.target.closest?.("#servers-box") ? () => table.step(by) : null; }
  const f = keys[e.key];
  if (f) { e.preventDefault(); f(); }
});

learnMe().catch(() => {}).finally(listen);
watch();
