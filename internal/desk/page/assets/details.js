// All that is known of one row, beside the table.
import { $, el, text, attr, list } from "./dom.js";
import { state } from "./stream.js";
import { intervene, reload } from "./act.js";
import { count, many, rate, bytes, took, span, share, when } from "./format.js";
import { words } from "./columns.js";

const classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

export class Details {
  constructor(table, charts) {
    this.table = table;
    this.charts = charts;
    this.box = $("details");
    $("details-close").addEventListener("click", () => this.close());
  }

  show(row) {
    this.key = row.key;
    this.table.shown = row.key;
    this.actions(row);
    this.box.hidden = false;
    document.body.classList.add("with-details");
    this.take();
    this.table.later();
  }

  close() {
    if (this.box.hidden) return false;
    this.box.hidden = true;
    document.body.classList.remove("with-details");
    this.key = this.table.shown = null;
    this.table.later();
    if (this.table.chosen) this.table.choose(this.table.chosen);
    return true;
  }

  actions(row) {
    const bar = $("details-do"), buttons = [];
    const button = (label, f) => el("button", { onclick: f }, label);
    const act = deed => { const now = this.table.about(row.key) || row; intervene(deed, now.pool, now.name, now.s?.weight); }; // pictures go on while this is open
    if (row.kind === "server" || row.kind === "worker" && row.s) {
      for (const deed of ["drain", "maint", "ready", "weight"]) buttons.push(button({ drain: "Drain", maint: "Maintenance", ready: "Ready", weight: "Weight" }[deed], () => act(deed)));
    }
    const app = row.o?.app || row.pool?.app;
    if (app) buttons.push(button("Reload " + app, () => reload(app)));
    const of = row.kind === "site" ? "site:" + row.name : row.kind === "route" ? "route:" + row.f.site + " " + row.name : "pool:" + (row.o || row.pool).name;
    buttons.push(button("Show in the graphs", () => { this.charts.choose(of, this.charts.span); $("graph").scrollIntoView({ block: "center" }); }));
    bar.replaceChildren(...buttons);
  }

  take() {
    if (!this.key || this.box.hidden) return;
    const row = this.table.about(this.key);
    text($("details-title"), row ? (row.pool && !row.pool.app ? row.pool.name + " / " : "") + row.name : "It is no more");
    if (!row) return;
    const word = $("details-state");
    text(word, words[row.state] || row.state || "");
    attr(word, "class", "word w-" + row.state);
    const facts = row.s ? this.server(row) : row.o ? this.pool(row.o) : row.f ? this.flow(row.f) : this.worker(row.w);
    list($("details-list"), facts.filter(f => f[1] !== "" && f[1] != null), f => f[0],
      f => el("div", {}, el("dt", {}, f[0]), el("dd")), (e, f) => text(e.lastChild, f[1]));
  }

  server(row) {
    const { s, w, hand } = row, now = new Date(state.picture.at);
    return [
      ["By hand", hand ? [hand.state || (hand.weight != null ? "weight " + hand.weight : hand.listed || ""), "by " + hand.by, hand.since ? when(hand.since) : "", hand.reason || ""].filter(Boolean).join(", ") : ""],
      ["Why", s.why], ["Since", s.since && !s.since.startsWith("0001") ? when(s.since) + ", " + span((now - new Date(s.since)) / 1000) : ""],
      ["Address", s.address], ["Weight", s.weight + (s.share < 1000 ? `, of which ${s.share / 10} % count now` : "") + (s.backup ? ", backup" : "")],
      ["Under way", `${count(s.active)} now, ${count(s.active_max)} at most${s.limit ? ", limit " + count(s.limit) : ""}`],
      ["Requests/s", `${rate(s.rate)} now, ${rate(s.rate_max)} at most, ${rate(s.error_rate)} errors`], ["First byte", `p50 ${took(s.p50)}, p95 ${took(s.p95)}, p99 ${took(s.p99)}`],
      ["Requests", count(s.requests)], ["Statuses", statuses(s.status)], ["Errors", [count(s.errors), ...kinds(s.failures)].join(", ")],
      ["Bytes", `${bytes(s.in)} in, ${bytes(s.out)} out`], ["Connections", `${count(s.connects)} made, ${count(s.reused)} requests on kept ones, ${count(s.idle)} idle`],
      ["Last check", s.check ? s.check + (s.check_ms ? `, in ${took(s.check_ms)}` : "") : ""], ["Checks", s.checks ? `${count(s.checks)}, ${count(s.check_fail || 0)} failed` : ""],
      ["Down", s.downs ? `${many(s.downs, "time")}, ${span(s.down_s)} in all` : "never"], ...(w ? this.worker(w) : []),
    ];
  }

  worker(w) {
    return [["Process", w.pid || ""], ["Memory", w.memory ? bytes(w.memory) : ""], ["Processor", share(w.cpu || 0)], ["Answered", w.requests ? count(w.requests) : ""],
      ["Started again", w.restarts ? many(w.restarts, "time") + (w.looping ? ", in a crash loop" : "") : "never"], ["Ended the last time", w.last], ["To be replaced", w.due]];
  }

  pool(o) {
    return [["Servers", `${o.open} of ${o.servers.length} take requests`], ["App", o.app], ["Under way", count(o.active) + (o.max_conn ? `, ${count(o.max_conn)} at most at each server` : "")],
      ["Queue", `${count(o.queued)} wait, ${count(o.queue_max)} at most, room for ${count(o.queue_size)}`], ["Waiting time", o.queue_p95 ? `p95 ${took(o.queue_p95)}` : ""],
      ["Left the queue", `${count(o.queue_timeouts)} timed out, ${count(o.queue_full)} found it full, ${count(o.shed)} pushed out`], ["Requests/s", `${rate(o.rate)}, ${rate(o.error_rate)} errors`],
      ["First byte", `p50 ${took(o.p50)}, p95 ${took(o.p95)}, p99 ${took(o.p99)}`], ["Tried again", `${count(o.retries)}, ${count(o.redispatches)} at another server, ${count(o.no_retry)} beyond the budget`],
      ["Hedged requests", o.hedges?.some(Boolean) ? `${count(o.hedges[2])} won, ${count(o.hedges[1])} lost` : ""], ["Breaker", o.breaker]];
  }

  flow(f) {
    const c = f.cache || [];
    return [["Hosts", (f.hosts || []).join(", ")], ["Pool", f.pool], ["Requests/s", `${rate(f.rate)} now, ${rate(f.rate_max)} at most, ${rate(f.errors)} errors`],
      ["Time", `p50 ${took(f.p50)}, p95 ${took(f.p95)}, p99 ${took(f.p99)}`], ["Requests", count(f.requests)], ["Statuses", statuses(f.status)], ["Causes of failures", kinds(f.causes).join(", ")],
      ["Bytes", `${bytes(f.in)} in, ${bytes(f.out)} out, ${bytes(f.saved || 0)} from the cache`], ["Cache", c.some((n, i) => i && n) ? ["pass", "miss", "hit", "stale", "shared", "revalidated"].map((n, i) => c[i + 1] ? `${count(c[i + 1])} ${n}` : "").filter(Boolean).join(", ") : ""],
      ["Slowest of late", f.slow ? `${took(f.slow.took * 1000)}, request ${f.slow.id}` : ""]];
  }
}

const statuses = s => (s || []).map((n, i) => n ? `${count(n)} ${classes[i]}` : "").filter(Boolean).join(", ");
const kinds = o => Object.entries(o || {}).sort((a, b) => b[1] - a[1]).map(([k, n]) => `${count(n)} ${k.replaceAll("_", " ")}`);
