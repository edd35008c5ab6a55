// The columns of the table: what a user of HAProxy's status page looks for, in that order. Each says how it is read from a site or
// route (f), a pool (o) or a server (s, and of an app its worker w), as a text; by is the number to sort by.
import { count, short, rate, bytes, ms, took, brief, share } from "./format.js";

const sum = (o, of) => o.servers.reduce((n, s) => n + (of(s) || 0), 0);
const limits = o => o.servers.length && o.servers.every(s => s.limit) ? short(sum(o, s => s.limit)) : "";
const fail = (s, ...kinds) => kinds.reduce((n, k) => n + (s.failures?.[k] || 0), 0);
const cause = (f, ...kinds) => kinds.reduce((n, k) => n + (f.causes?.[k] || 0), 0);
const zero = n => n ? short(n) : "0";
const pace = n => n < 10000 ? rate(n) : short(n);
const bad = n => n > 0;

export const columns = [
  { id: "weight", group: "", head: "Wght", o: o => short(sum(o, s => s.state === "ready" && !s.backup ? s.weight : 0)),
    s: s => s.weight + (s.share < 1000 ? "·" + Math.round(s.share / 10) + "%" : "") + (s.backup ? " b" : ""), by: s => s.weight, tip: "Weight; b is a backup, a share is what counts of it now" },
  { id: "now", group: "Under way", head: "Now", o: o => short(o.active), s: s => short(s.active), by: s => s.active },
  { id: "max", group: "Under way", head: "Max", s: s => short(s.active_max), by: s => s.active_max },
  { id: "limit", group: "Under way", head: "Limit", o: limits, s: s => s.limit ? short(s.limit) : "", by: s => s.limit },
  { id: "queue", group: "Queue", head: "Now", o: o => short(o.queued), warn: { o: o => bad(o.queued) } },
  { id: "qmax", group: "Queue", head: "Max", o: o => short(o.queue_max) },
  { id: "qlimit", group: "Queue", head: "Limit", o: o => o.queue_size ? short(o.queue_size) : "" },
  { id: "rate", group: "Per second", head: "Now", f: f => pace(f.rate), o: o => pace(o.rate), s: s => pace(s.rate), by: s => s.rate },
  { id: "rmax", group: "Per second", head: "Max", f: f => pace(f.rate_max), s: s => pace(s.rate_max), by: s => s.rate_max },
  { id: "p50", group: "Milliseconds", head: "p50", f: f => ms(f.p50), o: o => ms(o.p50), s: s => ms(s.p50), by: s => s.p50 },
  { id: "p95", group: "Milliseconds", head: "p95", f: f => ms(f.p95), o: o => ms(o.p95), s: s => ms(s.p95), by: s => s.p95 },
  { id: "p99", group: "Milliseconds", head: "p99", f: f => ms(f.p99), o: o => ms(o.p99), s: s => ms(s.p99), by: s => s.p99 },
  { id: "total", group: "Since counting began", head: "Requests", f: f => count(f.requests), o: o => count(o.requests), s: s => count(s.requests), by: s => s.requests },
  { id: "in", group: "Since counting began", head: "In", f: f => bytes(f.in), o: o => bytes(sum(o, s => s.in)), s: s => bytes(s.in), by: s => s.in, tip: "Bytes from clients" },
  { id: "out", group: "Since counting began", head: "Out", f: f => bytes(f.out), o: o => bytes(sum(o, s => s.out)), s: s => bytes(s.out), by: s => s.out, tip: "Bytes to clients" },
  { id: "hit", group: "Since counting began", head: "Hits", f: f => f.hit_ratio >= 0 ? share(f.hit_ratio) : "", tip: "From the cache, of the last ten seconds" },
  { id: "erate", group: "Errors", head: "/s", f: f => pace(f.errors), o: o => pace(o.error_rate), s: s => pace(s.error_rate), by: s => s.error_rate,
    bad: { f: f => bad(f.errors), o: o => bad(o.error_rate), s: s => bad(s.error_rate) }, tip: "Errors a second, now" },
  { id: "e5", group: "Errors", head: "5xx", f: f => zero(f.status[5]), o: o => zero(sum(o, s => s.status[5])), s: s => zero(s.status[5]), by: s => s.status[5] },
  { id: "econ", group: "Errors", head: "Conn", f: f => zero(cause(f, "connect_error", "connect_timeout")), o: o => zero(sum(o, s => fail(s, "connect_error"))),
    s: s => zero(fail(s, "connect_error")), by: s => fail(s, "connect_error"), tip: "No connection" },
  { id: "eresp", group: "Errors", head: "Resp", f: f => zero(cause(f, "empty_response", "server_reset", "bad_response")), o: o => zero(sum(o, s => fail(s, "empty_response", "bad_response"))),
    s: s => zero(fail(s, "empty_response", "bad_response")), by: s => fail(s, "empty_response", "bad_response"), tip: "No response, or one that made no sense" },
  { id: "etime", group: "Errors", head: "Time", f: f => zero(cause(f, "queue_timeout", "first_byte_timeout", "between_bytes_timeout", "request_timeout")), o: o => zero(sum(o, s => fail(s, "timeout")) + o.queue_timeouts),
    s: s => zero(fail(s, "timeout")), by: s => fail(s, "timeout"), tip: "Took too long" },
  { id: "full", group: "Errors", head: "Full", f: f => zero(cause(f, "queue_full", "no_server", "overloaded", "breaker_open")), o: o => zero(o.queue_full + o.shed), tip: "No room in the queue, or nobody to ask" },
  { id: "retry", group: "Tried again", head: "Retr", f: f => zero(f.retries), o: o => zero(o.retries), tip: "Further tries" },
  { id: "redis", group: "Tried again", head: "Redis", o: o => zero(o.redispatches), tip: "Of those, at another server" },
  { id: "check", group: "Check", head: "Last", left: true, o: o => o.open + " of " + o.servers.length + " open" + (o.breaker ? ", breaker " + o.breaker : ""),
    s: (s, w) => s.why || (s.check ? s.check + (s.check_ms ? " in " + took(s.check_ms) : "") : w?.due ? "due: " + w.due : w?.last || ""), by: s => s.why || s.check || "" },
  { id: "fails", group: "Check", head: "Fail", o: o => zero(sum(o, s => s.check_fail)), s: s => zero(s.check_fail), by: s => s.check_fail || 0 },
  { id: "downs", group: "Check", head: "Downs", o: o => zero(sum(o, s => s.downs)), s: s => zero(s.downs), by: s => s.downs },
  { id: "downt", group: "Check", head: "Down", s: s => s.down_s ? brief(s.down_s) : "0", by: s => s.down_s },
  { id: "mem", group: "Worker", head: "Mem", s: (s, w) => w?.memory ? bytes(w.memory) : "", by: (s, w) => w?.memory || 0 },
  { id: "cpu", group: "Worker", head: "CPU", s: (s, w) => w ? share(w.cpu || 0) : "", by: (s, w) => w?.cpu || 0, tip: "Of a processor" },
  { id: "again", group: "Worker", head: "Restarts", s: (s, w) => w ? zero(w.restarts) : "", by: (s, w) => w?.restarts || 0 },
];

// words are states as the page says them; the class is their colour.
export const words = { __proto__: null, ready: "up", starting: "starting", draining: "drain", maint: "maint", down: "down", leaving: "leaving", up: "up", degraded: "degraded", open: "open", failing: "failing", gone: "gone", live: "up" };
