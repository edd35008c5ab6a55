// What was, over time: four graphs above one time axis, with what happened drawn through all of them.
import { get, on } from "./stream.js";
import { $, el, text, attr, seen, size } from "./dom.js";
import { rate, ms, share, clock, when } from "./format.js";

const rows = ["rate", "errors", "p50", "p95", "p99", "hit"]; // of a series, those that are drawn
const spans = { "10m": { step: 1, len: 600, again: 300 }, "3h": { step: 10, len: 1080, again: 20 }, "1d": { step: 60, len: 1440, again: 60 }, "1w": { step: 600, len: 1008, again: 300 } };
const panels = [
  { name: "Requests/s", of: ["rate"], form: rate, least: 5, weight: 1.2 },
  { name: "Errors/s", of: ["errors"], form: rate, least: 1, weight: 0.8 },
  { name: "Milliseconds", of: ["p50", "p95", "p99"], form: ms, least: 100, weight: 1.4, log: true },
  { name: "From the cache", of: ["hit"], form: share, least: 1, most: 1, weight: 0.8 },
];
const left = 42, right = 6, foot = 26, head = 18;

export class Charts {
  constructor() {
    this.canvas = $("graph");
    this.of = "total";
    this.span = "10m";
    this.values = null;
    this.events = [];
    this.pointer = null;
    this.asked = 0;
    this.tip = $("graph-tip");
    this.pens = null;
    for (const b of $("spans").children) b.addEventListener("click", () => this.choose(this.of, b.dataset.span));
    $("graph-of").addEventListener("change", e => this.choose(e.target.value, this.span));
    this.canvas.addEventListener("pointermove", e => { this.pointer = e.offsetX; this.frame(); });
    this.canvas.addEventListener("pointerleave", () => { this.pointer = null; this.frame(); });
    this.canvas.addEventListener("keydown", e => this.key(e));
    this.canvas.addEventListener("blur", () => { this.pointer = null; this.frame(); });
    this.canvas.addEventListener("sized", () => this.frame());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle());
    on("hello", () => { this.asked = 0; this.load(); this.loadEvents(); });
    on("event", e => { this.events.push(e); if (this.events.length > 500) this.events.shift(); });
  }

  restyle() { this.pens = null; this.frame(); }

  choose(of, span) {
    this.of = of;
    this.span = span;
    for (const b of $("spans").children) attr(b, "aria-pressed", b.dataset.span === span ? "true" : "false");
    if ($("graph-of").value !== of) $("graph-of").value = of;
    this.load();
  }

  async loadEvents() {
    try { this.events = await get("/api/v1/events?n=400"); } catch { /* the next one comes by itself */ }
    this.frame();
  }

  async load() {
    const of = this.of, span = this.span;
    this.asked = Date.now();
    try {
      const s = await get(`/api/v1/series?of=${encodeURIComponent(of)}&span=${span}`);
      if (of !== this.of || span !== this.span) return; // somebody has chosen another one meanwhile
      this.values = Object.fromEntries(rows.map(r => [r, s.values[s.names.indexOf(r)] || []]));
      this.end = s.end;
      this.has = span + " " + of;
    } catch {
      if (of !== this.of || span !== this.span) return;
      if (this.has !== span + " " + of) { // else what was known stays
        this.values = Object.fromEntries(rows.map(r => [r, []]));
        this.end = Math.floor(Date.now() / 1000);
        this.has = span + " " + of;
      }
      this.asked += 5000 - spans[span].again * 1000; // a desk that has just begun knows nothing yet: soon again
    }
    this.frame();
  }

  // take adds a picture's second to what is shown, where a point is a second; else it asks anew now and then.
  take(p) {
    this.subjects(p);
    const s = spans[this.span];
    if (!this.values) return;
    const since = Date.now() - this.asked, point = s.step === 1 && this.point(p), at = Math.floor(new Date(p.at) / 1000);
    // What passed while nobody looked is no gap: the desk has it.
    if (since > s.again * 1000 || point && at - this.end > 4 && since > 5000) { this.load(); return; }
    if (point && at > this.end) {
      for (let t = Math.max(this.end + 1, at - s.len); t <= at; t++) {
        for (const r of rows) {
          const v = this.values[r];
          v.push(t === at || at - this.end <= 4 ? point[r] : null); // a second that was missed is no gap
          if (v.length > s.len) v.shift();
        }
      }
      this.end = at;
    }
    if (seen(this.canvas)) this.draw(); // now, in the picture's own frame
  }

  point(p) {
    const [kind, name] = this.of === "total" ? ["total"] : [this.of.slice(0, this.of.indexOf(":")), this.of.slice(this.of.indexOf(":") + 1)];
    const f = kind === "total" ? p.total : kind === "site" ? p.sites.find(s => s.name === name)
      : kind === "pool" ? p.pools.find(s => s.name === name) : p.routes.find(r => r.site + " " + r.name === name);
    if (!f || !p.edge.up) return null;
    const quiet = !f.rate && !f.p50;
    return { rate: f.rate, errors: f.errors === undefined || kind === "pool" ? f.error_rate : f.errors, p50: quiet ? null : f.p50, p95: quiet ? null : f.p95, p99: quiet ? null : f.p99, hit: f.hit_ratio >= 0 ? f.hit_ratio : null };
  }

  // subjects are what there is to choose.
  subjects(p) {
    const all = [["", [["total", "everything"]]], ["Sites", p.sites.map(s => ["site:" + s.name, s.name])],
      ["Pools", p.pools.map(o => ["pool:" + o.name, o.name])], ["Routes", p.routes.map(r => ["route:" + r.site + " " + r.name, r.name]).filter((r, i) => i < 200 || r[0] === this.of)]];
    const key = JSON.stringify(all);
    if (key === this.known) return;
    this.known = key;
    const box = $("graph-of");
    box.replaceChildren(...all.flatMap(([label, list]) => {
      const options = list.map(([value, name]) => el("option", { value }, name));
      return label ? (list.length ? [el("optgroup", { label }, ...options)] : []) : options;
    }));
    if (![...box.options].some(o => o.value === this.of)) this.choose("total", this.span);
    box.value = this.of;
  }

  key(e) {
    const [w] = size(this.canvas), step = (w - left - right) / spans[this.span].len * (e.shiftKey ? 30 : 5);
    if (e.key === "ArrowLeft") this.pointer = Math.max(left, (this.pointer ?? w - right) - step);
    else if (e.key === "ArrowRight") this.pointer = Math.min(w - right, (this.pointer ?? w - right) + step);
    else return;
    e.preventDefault();
    this.frame();
  }

  frame() {
    if (this.waits || document.hidden || !seen(this.canvas)) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.draw(); });
  }

  colours() {
    if (!this.pens) {
      const s = getComputedStyle(document.documentElement), c = n => s.getPropertyValue(n).trim();
      this.pens = { ink: c("--ink"), soft: c("--ink-3"), line: c("--line-2"), axis: c("--line"), water: c("--water"), fill: c("--water-fill"), down: c("--down"),
        downFill: c("--down-fill"), p50: c("--water"), p95: c("--amber"), p99: c("--violet"), event: c("--event"), font: "12px " + c("--type") };
    }
    return this.pens;
  }

  draw() {
    const { canvas, values } = this, [w, h] = size(canvas);
    if (!w || !h || !values) return;
    const dense = Math.min(devicePixelRatio || 1, 2);
    if (canvas.width !== Math.round(w * dense) || canvas.height !== Math.round(h * dense)) { canvas.width = Math.round(w * dense); canvas.height = Math.round(h * dense); }
    const g = canvas.getContext("2d"), pen = this.colours(), s = spans[this.span];
    g.setTransform(dense, 0, 0, dense, 0, 0);
    g.clearRect(0, 0, w, h);
    g.font = pen.font;
    const plot = w - left - right, x = i => left + plot * i / (s.len - 1);
    const from = this.end - (s.len - 1) * s.step;
    this.axis(g, pen, w, h, from, s, x);
    const all = panels.reduce((n, p) => n + p.weight, 0);
    let y = 0;
    for (const p of panels) {
      const tall = (h - foot) * p.weight / all;
      this.panel(g, pen, p, y, tall, w, s, x);
      y += tall;
    }
    this.marks(g, pen, h, from, s, x);
    this.hover(g, pen, w, h, from, s, x);
  }

  axis(g, pen, w, h, from, s, x) {
    const every = { "10m": 120, "3h": 1800, "1d": 14400, "1w": 86400 }[this.span] * (w < 420 ? 2 : 1);
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    const zone = new Date(from * 1000).getTimezoneOffset() * 60;
    for (let t = Math.ceil((from - zone) / every) * every + zone; t <= this.end; t += every) {
      const at = Math.round(x((t - from) / s.step)) + 0.5, d = new Date(t * 1000);
      g.strokeStyle = pen.line;
      g.beginPath(); g.moveTo(at, head); g.lineTo(at, h - foot); g.stroke();
      g.fillStyle = pen.soft;
      const label = this.span === "1w" ? d.toLocaleDateString("en-GB", { weekday: "short", day: "numeric" }) : clock(d).slice(0, 5);
      if (at > left + 12 && at < w - 16) g.fillText(label, at, h - 2);
    }
  }

  panel(g, pen, p, y, tall, w, s, x) {
    const rows = p.of.map(name => this.values[name]), bottom = y + tall - 4, top = y + head;
    let most = 0;
    for (const v of rows) for (const n of v) if (n > most) most = n;
    most = p.most || (p.log ? 10 ** Math.ceil(Math.log10(Math.max(most, p.least))) : nice(Math.max(most, p.least)));
    // A median and a p99 are a hundred times apart: only powers of ten show how both move.
    const low = p.log ? rows[0].reduce((m, v) => v > 0 && v < m ? v : m, 1) : 1;
    const least = low < 0.07 ? 0.01 : low < 0.7 ? 0.1 : 1, span = bottom - top;
    const at = p.log ? v => bottom - span * Math.max(0, Math.log10(Math.max(v, least) / least) / Math.log10(most / least)) : v => bottom - span * Math.min(v / most, 1);
    if (p.log) for (let t = least * 10; t < most * 0.99; t *= 10) { g.strokeStyle = pen.line; g.beginPath(); g.moveTo(left, Math.round(at(t)) + 0.5); g.lineTo(w - right, Math.round(at(t)) + 0.5); g.stroke(); }
    g.strokeStyle = pen.axis;
    g.beginPath(); g.moveTo(left, Math.round(bottom) + 0.5); g.lineTo(w - right, Math.round(bottom) + 0.5); g.stroke();
    g.fillStyle = pen.soft;
    g.textAlign = "right";
    g.fillText(p.form(most), left - 6, top + 6, left - 6);
    g.fillText(p.log ? String(least) : "0", left - 6, bottom + 1);
    const first = s.len - (rows[0]?.length || 0);
    if (p.of.length === 1) {
      const bad = p.of[0] === "errors";
      this.area(g, rows[0], first, x, at, bottom, bad ? pen.downFill : pen.fill, bad ? pen.down : pen.water);
    } else {
      for (let i = rows.length - 1; i >= 0; i--) this.line(g, rows[i], first, x, at, pen[p.of[i]], i ? 1 : 1.5);
    }
    g.textAlign = "left";
    g.fillStyle = pen.ink;
    g.fillText(p.name, left, y + 11);
    let sx = left + g.measureText(p.name).width + 10;
    p.of.forEach((name, i) => {
      const v = this.values[name], last = v[v.length - 1];
      if (p.of.length > 1) { g.fillStyle = pen[name]; g.fillRect(sx, y + 6, 8, 2); sx += 12; }
      const label = (p.of.length > 1 ? name + " " : "") + p.form(last);
      g.fillStyle = pen.soft;
      g.fillText(label, sx, y + 11);
      sx += g.measureText(label).width + 10;
    });
  }

  // trace makes a path of what is known, down to bottom where there is one: nothing is drawn where nothing is known, and where points are
  // denser than pixels, each pixel has the highest.
  trace(g, v, first, x, at, bottom) {
    let px = -1, high = null, from = -1, last = -1;
    const put = () => {
      if (high == null) return;
      const y = at(high);
      if (from >= 0) g.lineTo(px, y);
      else if (bottom == null) g.moveTo(px, y);
      else { g.moveTo(px, bottom); g.lineTo(px, y); }
      if (from < 0) from = px;
      last = px;
      high = null;
    };
    const end = () => {
      const lone = from < 0 && high != null && bottom == null ? at(high) : null;
      put();
      if (from >= 0 && bottom != null) g.lineTo(last, bottom);
      if (lone != null) g.lineTo(last + 1, lone);
      from = px = -1;
    };
    g.beginPath();
    for (let i = 0; i < v.length; i++) {
      if (v[i] == null) { end(); continue; }
      const p = Math.round(x(first + i) * 2) / 2;
      if (p !== px) { put(); px = p; high = v[i]; } else if (high == null || v[i] > high) high = v[i];
    }
    end();
  }

  area(g, v, first, x, at, bottom, fill, stroke) {
    this.trace(g, v, first, x, at, bottom);
    g.fillStyle = fill;
    g.fill();
    this.line(g, v, first, x, at, stroke, 1.25);
  }

  line(g, v, first, x, at, stroke, width) {
    this.trace(g, v, first, x, at);
    g.strokeStyle = stroke;
    g.lineWidth = width;
    g.lineJoin = "round";
    g.stroke();
    g.lineWidth = 1;
  }

  // marks draws what happened, each moment once.
  marks(g, pen, h, from, s, x) {
    this.marked = [];
    let last = -9;
    for (const e of this.events) {
      const t = new Date(e.at) / 1000;
      if (t < from || t > this.end) continue;
      const at = Math.round(x((t - from) / s.step)) + 0.5;
      this.marked.push([at, e]);
      if (at - last < 3) continue;
      last = at;
      const bad = isBad(e);
      g.strokeStyle = bad ? pen.down : pen.event;
      g.globalAlpha = 0.5;
      g.setLineDash([2, 3]);
      g.beginPath(); g.moveTo(at, head); g.lineTo(at, h - foot); g.stroke();
      g.setLineDash([]);
      g.globalAlpha = 1;
      g.fillStyle = bad ? pen.down : pen.event;
      g.beginPath(); g.moveTo(at, h - foot + 1); g.lineTo(at + 4, h - foot + 8); g.lineTo(at - 4, h - foot + 8); g.fill();
    }
  }

  hover(g, pen, w, h, from, s, x) {
    if (this.pointer == null) { attr(this.tip, "hidden", true); return; }
    const px = Math.min(Math.max(this.pointer, left), w - right), i = Math.round((px - left) / (w - left - right) * (s.len - 1));
    const at = Math.round(x(i)) + 0.5, k = i - (s.len - (this.values.rate.length || 0));
    g.strokeStyle = pen.soft;
    g.beginPath(); g.moveTo(at, head); g.lineTo(at, h - foot); g.stroke();
    const v = n => this.values[n][k];
    const lines = [when(new Date((from + i * s.step) * 1000))];
    if (v("rate") == null) lines.push("nothing is known");
    else lines.push(`${rate(v("rate"))} requests/s, ${rate(v("errors"))} errors/s`, `${ms(v("p50"))} · ${ms(v("p95"))} · ${ms(v("p99"))} ms`, `${share(v("hit"))} from the cache`);
    for (const [, e] of this.marked.filter(m => Math.abs(m[0] - at) < 5).slice(-4)) lines.push([when(e.at), e.kind, e.subject, e.text].filter(Boolean).join(" "));
    text(this.tip, lines.join("\n"));
    attr(this.tip, "hidden", null);
    const wide = this.tip.offsetWidth;
    this.tip.style.transform = `translate(${Math.round(at + 12 + wide > w ? Math.max(0, at - wide - 12) : at + 12)}px, 22px)`;
  }
}

// isBad tells what went wrong from what was meant.
export function isBad(e) {
  if (e.kind === "intervention") return false; // people write the reason
  if (e.kind === "alert") return !e.text.startsWith("over: "); // any word may stand in what is alerted of
  return e.kind === "problem" || e.kind === "fault" || /\bis down\b|does not answer|died|is failing|started again|refused/.test(e.text);
}

function nice(v) {
  const e = 10 ** Math.floor(Math.log10(v));
  for (const m of [1, 1.5, 2, 3, 4, 5, 6, 8]) if (v <= m * e) return m * e;
  return 10 * e;
}
