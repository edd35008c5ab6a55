// The rooms below the table: why there were misses, what is slow, what failed, what happened, who did what, and how the machine is.
import { $, el, text, attr, cls, list, seen } from "./dom.js";
import { state, get, lines, on } from "./stream.js";
import { amount, count, many, rate, bytes, ms, took, span, share, when } from "./format.js";
import { causes, whys, spent, fullName } from "./words.js";
import { isBad } from "./charts.js";
import { acknowledge, silence, unsilence } from "./act.js";

// inVerdict are built-in rules of what the verdict says by itself.
const inVerdict = new Set(["edge_down", "pool_down", "server_down", "worker_loop"]);

// bars are names with a number each, and how it compares with the largest.
function bars(box, items, explain) {
  const most = Math.max(1, ...items.map(i => i.n));
  list(box, items, i => i.name, () => el("li", {}, el("i"), el("b"), el("span"), el("em")), (e, i) => {
    const w = Math.round(i.n / most * 100) / 100;
    if (e.weirWide !== w) { e.weirWide = w; e.children[0].style.transform = `scaleX(${w})`; }
    text(e.children[1], i.name);
    text(e.children[2], explain[i.name] || "");
    text(e.children[3], i.words ?? count(i.n));
  });
  attr(box.nextElementSibling, "hidden", items.length > 0);
}

const ranked = (o, n) => Object.entries(o || {}).map(([name, n]) => ({ name, n })).sort((a, b) => b.n - a.n).slice(0, n);

export class Panels {
  constructor(table, details) {
    this.table = table;
    this.details = details;
    this.next = {};      // when to ask again, by address
    this.errors = -1;
    this.events = [];
    this.drawn = new Set();
    on("hello", () => this.ask(true));
    on("event", e => { this.events.push(e); if (this.events.length > 300) this.events.shift(); this.drawEvents(); if (e.kind === "intervention") this.next["/api/v1/interventions"] = 0; });
  }

  take(p) {
    this.ask(false);
    // What is out of sight is drawn once, lest who scrolls there finds nothing, and then left as it is.
    for (const [id, draw] of [["p-misses", this.misses], ["p-slow", this.slow], ["p-machine", this.machine], ["p-failed", this.failed]]) {
      if (!this.drawn.has(id) || seen($(id))) draw.call(this, p);
      this.drawn.add(id);
    }
  }

  // every asks for something now and then. What the API does not have is not asked for again, and its section stays hidden.
  async every(path, seconds, then, anew) {
    const now = Date.now();
    if (this.next[path] === Infinity || !anew && now < (this.next[path] || 0) || document.hidden) return;
    this.next[path] = now + seconds * 1000;
    try { then(await get(path)); } catch (e) { if (e.status === 404) { this.next[path] = Infinity; then(null); } }
  }

  ask(anew) {
    this.every("/api/v1/events?n=300", 300, all => { if (all) { this.events = all; this.drawEvents(); } }, anew);
    this.every("/api/v1/interventions", 15, d => d && this.interventions(d), anew);
    if (state.picture?.cache) this.every("/api/v1/cache", 10, c => { this.cache = c; }, anew);
    this.every("/api/v1/alerts", 5, a => this.alerts(a), anew);
    this.every("/api/v1/downtime", 60, d => this.downtime(d), anew);
    this.every("/api/v1/problems", 15, d => this.problems(d), anew);
    this.every("/api/v1/numbers", 5, d => this.numbers(d), anew);
    this.log(anew);
  }

  // log looks at the newest failed and slow ones when there may be new ones.
  async log(anew) {
    const p = state.picture, path = "/api/v1/log?recent=50";
    if (!p || this.next[path] === Infinity || document.hidden) return;
    const n = p.total.status[5] + p.total.status[0] + Object.values(p.total.causes || {}).reduce((a, b) => a + b, 0), now = Date.now();
    if (!anew && (now < (this.next[path] || 0) || n === this.errors && now < (this.next[path] || 0) + 8000)) return;
    this.errors = n;
    this.next[path] = now + 2000;
    try { this.stories((await lines(path)).filter(s => s.time)); } catch (e) { if (e.status === 404) { this.next[path] = Infinity; this.stories([]); } } // else what is known stays
  }

  misses(p) {
    const c = p.total.cache || [], could = c[2] + c[3] + c[4] + c[5] + c[6];
    attr($("p-misses"), "hidden", !p.cache && !could && !c[1] || null);
    const kept = [["hit", c[3]], ["stale", c[4]], ["shared", c[5]], ["revalidated", c[6]], ["miss", c[2]], ["pass", c[1]]];
    const all = kept.reduce((n, k) => n + (k[1] || 0), 0) || 1;
    list($("verdicts"), kept.filter(k => k[1]), k => k[0], k => el("li", { class: "v-" + k[0] }, el("i"), el("span"), el("b")), (e, k) => {
      const w = String(Math.max(0, Math.round((k[1] || 0) / all * 1000)));
      if (e.weirGrow !== w) { e.weirGrow = w; e.style.flexGrow = w; }
      text(e.children[1], k[0]);
      text(e.children[2], share((k[1] || 0) / all));
      attr(e, "title", `${count(k[1] || 0)} ${k[0]}`);
    });
    bars($("whys"), ranked(p.total.whys, 8), whys);
    const o = p.cache;
    text($("cache-facts"), o ? `${count(o.objects)} objects, ${bytes(o.bytes)} of ${bytes(o.memory)} in memory` + (o.disk ? `, ${bytes(o.disk.bytes)} of ${bytes(o.disk.size)} on disk` : "") + `, ${bytes(p.total.saved || 0)} saved` : "");
    list($("top-misses"), (this.cache?.top_misses || []).slice(0, 6), m => m.url, () => el("li", {}, el("span", { class: "url" }), el("em")), (e, m) => { text(e.children[0], m.url); text(e.children[1], count(m.misses)); });
    attr($("top-misses-head"), "hidden", !(this.cache?.top_misses?.length) || null);
  }

  slow(p) {
    const routes = p.routes.filter(r => r.p95 > 0).sort((a, b) => b.p95 - a.p95).slice(0, 9), most = Math.max(1, ...routes.map(r => r.p99));
    list($("slow-routes"), routes, r => r.site + " " + r.name, () => el("tr", {}, el("th", { scope: "row" }, el("button", { class: "who" })), el("td"), el("td"), el("td"), el("td", { class: "span-cell" }, el("i", { class: "box" }), el("i", { class: "mid" }))), (e, r) => {
      const b = e.children[0].firstChild;
      text(b, r.name);
      attr(b, "title", r.slow ? `the slowest of late took ${took(r.slow.took * 1000)}: request ${r.slow.id}` : null);
      b.onclick = () => { this.details.show({ key: "route " + r.site + " " + r.name, kind: "route", name: r.name, f: r, state: "" }); };
      [ms(r.p50), ms(r.p95), ms(r.p99)].forEach((s, i) => text(e.children[i + 1], s));
      const at = v => Math.round(Math.log1p(v) / Math.log1p(most) * 200) / 200, [i, m] = e.lastChild.children;
      i.style.transform = `translateX(${at(r.p50) * 100}%) scaleX(${Math.max(0.01, at(r.p99) - at(r.p50))})`;
      m.style.transform = `translateX(${at(r.p95) * 100}%)`;
    });
    attr($("slow-none"), "hidden", routes.length > 0 || null);
  }

  failed(p) { bars($("causes"), ranked(p.total.causes, 6), causes); }

  stories(all) {
    all.sort((a, b) => a.time < b.time ? 1 : -1);
    list($("stories"), all.slice(0, 40), s => (s.id || "") + s.time, () => this.storyRow(), (e, s) => this.storyFill(e, s));
    attr($("stories-none"), "hidden", all.length > 0 || null);
  }

  storyRow() {
    const li = el("li"), b = el("button", { class: "line", "aria-expanded": "false" }, el("time"), el("b"), el("span", { class: "url" }), el("em"));
    const more = el("div", { class: "story", hidden: true });
    b.addEventListener("click", () => { more.hidden = !more.hidden; b.setAttribute("aria-expanded", String(!more.hidden)); if (!more.hidden) this.tell(more, li.weirStory); });
    li.append(b, more);
    return li;
  }

  storyFill(e, s) {
    if (e.weirStory && Date.now() - new Date(s.time) < 40000e3) return; // it is over, and changes no more; what is older gets its day
    e.weirStory = s;
    const b = e.firstChild, failed = s.status >= 500 || s.status === 0;
    text(b.children[0], when(s.time));
    text(b.children[1], s.status || "none");
    cls(b.children[1], failed ? "bad" : s.status >= 400 ? "warn" : "");
    text(b.children[2], `${s.method || ""} ${s.host || ""}${s.target || s.listen || ""}`);
    text(b.children[3], (s.cause ? s.cause.replaceAll("_", " ") + ", " : "") + (s.total_ms ? took(s.total_ms) : "0 ms"));
  }

  // tell shows where a request's time went.
  tell(box, s) {
    const stages = Object.entries(s.stages_ms || {}).sort((a, b) => a[1] - b[1]), end = Math.max(s.total_ms || 0, stages.at(-1)?.[1] || 0) || 1;
    const bar = el("div", { class: "stages", role: "img", "aria-label": stages.map(([k, v]) => k.replaceAll("_", " ") + " after " + took(v)).join(", ") });
    const parts = [];
    stages.forEach(([name, at], i) => {
      const next = stages[i + 1]?.[1] ?? end, part = el("i", { class: "g-" + name, title: `${name.replaceAll("_", " ")}, then ${took(next - at)}` });
      parts.push([next - at, spent[name] || name]);
      part.style.flexGrow = String(Math.max(0, (next - at) / end * 1000));
      bar.append(part);
    });
    const facts = [["Answered by", [s.pool, s.server].filter(Boolean).join(" / ")], ["Route", s.route], ["Cause", s.cause ? s.cause + (causes[s.cause] ? ": " + causes[s.cause] : "") + (s.detail ? ", " + s.detail : "") : ""], ["Cache", [s.cache, s.cache_why && s.cache_why + (whys[s.cache_why] ? ": " + whys[s.cache_why] : "")].filter(Boolean).join(", ")],
      ["Time", [`${took(s.total_ms)} in all`, ...parts.sort((a, b) => b[0] - a[0]).filter(x => x[0] > end / 50).slice(0, 4).map(x => took(x[0]) + " " + x[1])].join(", ")],
      ["Fragments", (s.parts || []).map(x => `${x.target} ${x.status || "none"}, ${[x.cache, took(x.ms)].filter(Boolean).join(", ")}`).join("; ")], ["Tried again", s.retries ? count(s.retries) : ""], ["Client", s.client], ["Request", s.id]];
    box.replaceChildren(...(stages.length > 1 ? [bar] : []), el("dl", {}, ...facts.filter(f => f[1]).flatMap(f => [el("dt", {}, f[0]), el("dd", {}, f[1])])));
  }

  drawEvents() {
    const all = this.events.slice(-60).reverse();
    list($("events"), all, e => e.at + e.kind + e.subject + e.text, () => el("li", {}, el("time"), el("b"), el("span")), (li, e) => {
      cls(li, (isBad(e) ? "bad " : "") + "k-" + e.kind);
      text(li.children[0], when(e.at));
      text(li.children[1], e.subject || e.kind);
      text(li.children[2], e.text + (e.by ? ", by " + e.by : ""));
    });
    attr($("events-none"), "hidden", all.length > 0 || null);
  }

  interventions(d) {
    const place = x => x.what || fullName(x.pool, x.server), weight = x => x.weight != null ? "weight " + x.weight : "";
    const line = (e, when_, who, words) => { text(e.children[0], when_); text(e.children[1], who); text(e.children[2], words); };
    const make = () => el("li", {}, el("time"), el("b"), el("span"));
    list($("hands"), d.hands || [], place, make, (e, h) => line(e, h.since ? when(h.since) : "", place(h), [h.state || weight(h) || h.listed || "", "by " + (h.by || "nobody"), h.reason].filter(Boolean).join(", ")));
    list($("done"), (d.done || []).slice(-30).reverse(), (x, i) => x.at + place(x) + x.do, make, (e, x) => line(e, x.at ? when(x.at) : "", place(x), [x.do === "weight" ? weight(x) || "weight as configured" : x.do, "by " + (x.by || "nobody"), x.reason].filter(Boolean).join(", ")));
    attr($("hands-head"), "hidden", !(d.hands || []).length || null);
    attr($("done-none"), "hidden", (d.done || []).length > 0 || null);
  }

  machine(p) {
    const f = p.facts, e = p.edge;
    const facts = [["Version", p.version], ["Configuration", p.file + (e.revision ? ", revision " + e.revision : "")], ["Up", span((new Date(p.at) - new Date(p.since)) / 1000)], ["Counting since", when(p.counted)],
      ["Listening", (p.listen || []).join(", ")], ["Edge", e.up ? `process ${e.pid}` + (e.restarts ? `, started again ${many(e.restarts, "time")}` : "") : "does not answer"], ["Loops busy", (e.loop_busy || []).map(share).join(" · ")],
      ["Held up", e.slow_turns || e.panics || e.log_dropped ? [e.slow_turns ? `a loop for over 50 ms, ${many(e.slow_turns, "time")}` : "", e.panics ? many(e.panics, "panic") : "", e.log_dropped ? many(e.log_dropped, "log line") + " dropped" : ""].filter(Boolean).join(", ") : "never"]];
    if (f) facts.push(["Load", (f.load || []).map(n => n.toFixed(2)).join(" · ")], ["Memory", f.mem_total ? `${bytes(f.mem_available)} of ${bytes(f.mem_total)} free` + (f.swap_used ? `, ${bytes(f.swap_used)} swapped` : "") : ""],
      ["Descriptors", f.files_max ? `${count(f.files)} of ${f.files_max > 1e15 ? "no limit" : count(f.files_max)}` : ""], ...(f.disks || []).map(d => ["Disk " + d.path, `${bytes(d.free)} of ${bytes(d.size)} free` + (d.busy > 0.005 ? `, ${share(d.busy)} busy` : "")]),
      ...(f.networks || []).map(n => ["Network " + n.name, `${bytes(n.in_rate)}/s in, ${bytes(n.out_rate)}/s out` + (n.errors + n.drops ? `, ${count(n.errors)} errors, ${count(n.drops)} drops` : "")]));
    list($("facts"), facts.filter(x => x[1]), x => x[0], x => el("div", {}, el("dt", {}, x[0]), el("dd")), (d, x) => text(d.lastChild, x[1]));
    list($("facts-words"), [...(f?.words || []), ...(p.problem ? [p.problem] : []), ...(p.faults || []).map(x => `weir makes a fault on purpose: ${x.do}, by ${x.by}` + (x.reason ? ", " + x.reason : "")),
      ...(p.included || []).filter(i => i.problem).map(i => `${i.path} is not in force: ${i.problem}`)], w => w, () => el("li"), (li, w) => text(li, w));
    list($("cpus"), f?.cpus || [], (c, i) => "c" + i, (c) => el("li", {}, el("i"), el("span")), (li, c, i) => {
      const w = Math.round(Math.min(1, c) * 50) / 50;
      if (li.weirBusy !== w) { li.weirBusy = w; li.firstChild.style.transform = `scaleY(${Math.max(0.02, w)})`; cls(li.firstChild, w > 0.95 ? "over" : w > 0.75 ? "high" : ""); }
      attr(li, "title", `processor ${i}: ${share(c)}`);
    });
    list($("processes"), (f?.processes || []).slice().sort((a, b) => b.cpu - a.cpu).slice(0, 12), x => x.what + x.pid, () => el("tr", {}, el("th", { scope: "row" }), el("td"), el("td"), el("td"), el("td")), (tr, x) => [x.what, x.pid, share(x.cpu), bytes(x.memory), count(x.files)].forEach((s, i) => text(tr.children[i], s)));
    attr($("processes").parentNode, "hidden", !(f?.processes || []).length || null);
  }

  // numbers are what apps count of themselves, by statsd.
  numbers(d) {
    const known = d?.numbers || [], all = known.slice(0, 40);
    text($("numbers-more"), known.length > all.length ? `And ${count(known.length - all.length)} more: weir top shows all.` : "");
    attr($("p-numbers"), "hidden", all.length === 0 || null);
    list($("numbers"), all, n => n.name + JSON.stringify(n.labels || {}), () => el("li", {}, el("b"), el("span"), el("em")), (e, n) => {
      text(e.children[0], n.name);
      text(e.children[1], Object.entries(n.labels || {}).map(([k, v]) => k + " " + v).join(", "));
      const mean = n.value / n.count, timer = n.kind === "timer";
      text(e.children[2], !n.count ? amount(n.value) : `${count(n.count)}, ` + (timer && n.p95 ? `p95 ${took(n.p95)}` : timer ? `mean ${took(mean)}` : `mean ${amount(mean)}`));
    });
  }

  // Of these three the API may have nothing yet.
  alerts(a) {
    const all = (a?.alerts || []).filter(x => !x.by), told = (a?.targets || []).length;
    attr($("p-alerts"), "hidden", all.length || told ? null : true);
    list($("alerts"), all, x => x.rule + " " + x.subject, () => {
      const li = el("li", {}, el("time"), el("b"), el("span"), el("em"));
      const acts = el("p", { class: "do acts" }, el("button", { onclick: () => acknowledge(li.weirAlert) }, "Acknowledge"), el("button", { onclick: () => silence(li.weirAlert) }, "Silence"));
      li.append(acts);
      return li;
    }, (e, x) => {
      const over = x.state === "resolved", calm = over || x.silenced || x.acknowledged;
      e.weirAlert = x;
      cls(e, over ? "over" : x.state === "pending" ? "pending" : calm ? "calm" : "bad");
      text(e.children[0], when(x.ended && over ? x.ended : x.since));
      text(e.children[1], [x.rule, x.subject].filter(Boolean).join(" "));
      text(e.children[2], x.text + (x.note ? " " + x.note : ""));
      const more = (x.explains || []).length, ack = x.acknowledged;
      text(e.children[3], [x.severity, x.state === "firing" ? "" : x.state === "pending" ? "not yet told" : "over", ack ? "acknowledged by " + (ack.by || "somebody") + (ack.why ? ": " + ack.why : "") : "", x.silenced ? "silenced" : "", more ? `explains ${more} more` : ""].filter(Boolean).join(", "));
      e.children[4].hidden = calm;
    });
    list($("silences"), a?.silences || [], s => s.id, () => el("li", {}, el("time"), el("b"), el("span"), el("p", { class: "do acts" }, el("button", {}, "End"))), (e, s) => {
      text(e.children[0], when(s.until));
      text(e.children[1], "silence: " + ([s.rule, s.subject].filter(Boolean).join(" ") || "everything"));
      text(e.children[2], ["by " + (s.by || "somebody"), s.why].filter(Boolean).join(", "));
      e.children[3].firstChild.onclick = () => unsilence(s);
    });
    attr($("alerts-none"), "hidden", all.length > 0 || null);
    state.firing = all.filter(x => x.state === "firing" && !x.silenced && !x.acknowledged && !inVerdict.has(x.rule));
  }

  downtime(d) {
    const all = (d?.sites || []).filter(x => !x.removed || x.down_s);
    attr($("p-downtime"), "hidden", all.length ? null : true);
    list($("downtime"), all, x => x.name, () => el("li", {}, el("i"), el("b"), el("span"), el("em"), el("small")), (e, x) => {
      const w = x.budget_s ? Math.min(1, x.down_s / x.budget_s) : 0;
      e.children[0].style.transform = `scaleX(${Math.round(w * 100) / 100})`;
      cls(e, x.down_now || w >= 1 ? "bad" : w > 0.75 ? "warn" : "");
      text(e.children[1], x.name);
      text(e.children[2], x.down_now ? "is down" : x.budget_s ? (x.left_s < 0 ? span(-x.left_s) + " over its budget" : span(x.left_s) + " left of " + span(x.budget_s)) : "");
      text(e.children[3], span(x.down_s));
      const o = x.list?.[0], end = o?.end && !o.end.startsWith("0001") ? new Date(o.end) : null;
      text(e.children[4], o ? `${when(o.begin)}${end ? ", for " + span((end - new Date(o.begin)) / 1000) : ", since then"}: ${o.cause}` : "");
    });
    text($("downtime-gaps"), d?.unseen_s >= 60 ? `Nobody looked for ${span(d.unseen_s)} of this month.` : "");
  }

  problems(d) {
    const all = d?.problems || [];
    attr($("p-problems"), "hidden", all.length ? null : true);
    list($("problems"), all.slice(0, 20), x => x.id, () => {
      const li = el("li"), b = el("button", { class: "line", "aria-expanded": "false" }, el("time"), el("b"), el("span", { class: "url" }), el("em")), pre = el("pre", { hidden: true });
      b.addEventListener("click", () => { pre.hidden = !pre.hidden; b.setAttribute("aria-expanded", String(!pre.hidden)); });
      li.append(b, pre);
      return li;
    }, (e, x) => {
      const b = e.firstChild;
      text(b.children[0], when(x.last));
      text(b.children[1], count(x.count));
      text(b.children[2], x.shape);
      attr(b.children[2], "title", x.shape);
      text(b.children[3], x.app);
      text(e.lastChild, [x.where, `${x.kind}, first ${when(x.first)}` + (x.worker ? ", last of " + x.worker : ""), ...(x.sample || [])].filter(Boolean).join("\n"));
    });
  }
}
