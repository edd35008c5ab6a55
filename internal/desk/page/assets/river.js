// The flow of requests, drawn as wide as it is: from clients through sites and the cache to pools and their servers.
import { svg, text, attr, seen, size } from "./dom.js";
import { rate, share } from "./format.js";

const names = { sites: 7, pools: 7 }; // drawn by themselves; the rest is one
const smooth = 0.3;                                // of a new second in what is drawn: a river does not jump
const node = { width: 5, least: 2, pitch: 17 };

const calm = new Map(); // smoothed rates by name
let turn = 0;

function ease(key, value) {
  const old = calm.get(key);
  const now = old ? old.v + (value - old.v) * smooth : value;
  calm.set(key, { v: now < 0.005 ? 0 : now, turn });
  return now < 0.005 ? 0 : now;
}

// flows says how much goes from where to where.
export function flows(p, before) {
  turn++;
  const seconds = before ? (new Date(p.at) - new Date(before.at)) / 1000 : 0;
  const was = new Map((before?.routes || []).map(r => [r.site + " " + r.name, r]));
  const sites = new Map(), links = [], pools = new Map();
  let hits = 0, own = 0, total = 0;
  const into = (from, to, v, kind) => {
    const old = links.find(l => l.from === from && l.to === to);
    if (old) old.v += v; else links.push({ from, to, v, kind });
  };
  const siteNames = top(p.sites || [], names.sites, s => ease("s " + s.name, s.rate));
  const poolNames = top(p.pools || [], names.pools, o => ease("p " + o.name, o.rate));
  const siteOf = n => siteNames.has(n) ? "s " + n : "s …", poolOf = n => poolNames.has(n) ? "p " + n : "p …";
  for (const r of p.routes || []) {
    const key = r.site + " " + r.name, o = was.get(key);
    const kept = f => (f.cache[3] || 0) + (f.cache[4] || 0) + (f.cache[5] || 0);
    const v = ease("r " + key, r.rate);
    // Of the first picture only totals are known.
    const now = o && seconds > 0 ? Math.max(0, kept(r) - kept(o)) / seconds : r.requests ? r.rate * kept(r) / r.requests : 0;
    const hit = Math.min(v, ease("h " + key, Math.min(r.rate, now)));
    const site = siteOf(r.site);
    sites.set(site, (sites.get(site) || 0) + v);
    total += v;
    if (hit) { into(site, "cache", hit, "hit"); hits += hit; }
    const rest = Math.max(0, v - hit);
    if (r.pool) {
      into(site, poolOf(r.pool), rest, "ask");
      pools.set(poolOf(r.pool), (pools.get(poolOf(r.pool)) || 0) + rest);
    } else { into(site, "weir", rest, "own"); own += rest; }
  }
  const tcp = (p.pools || []).filter(o => o.tcp);
  for (const o of tcp) {
    const v = calm.get("p " + o.name)?.v || 0;
    sites.set("tcp", (sites.get("tcp") || 0) + v);
    into("tcp", poolOf(o.name), v, "ask");
    pools.set(poolOf(o.name), (pools.get(poolOf(o.name)) || 0) + v);
    total += v;
  }
  for (const [site, v] of sites) into("clients", site, v, "in");
  const last = servers(p, poolOf);
  for (const [key, o] of calm) if (o.turn !== turn) calm.delete(key);
  return { total, hits, own, sites, pools, links, servers: last };
}

// top are the names of those with the highest rates; a single one more than n is drawn too.
function top(list, n, of) {
  const all = list.map(o => [o.name, of(o)]);
  if (all.length <= n + 1) return new Set(all.map(a => a[0]));
  return new Set(all.sort((a, b) => b[1] - a[1]).slice(0, n).map(a => a[0]));
}

// servers are all of them, the busiest first, and what they do together by pools.
function servers(p, poolOf) {
  const all = [], pools = new Map();
  for (const o of p.pools || []) {
    const pool = poolOf(o.name), sum = pools.get(pool) || { n: 0, v: 0 };
    pools.set(pool, sum);
    for (const s of o.servers) {
      const v = ease("w " + o.name + " " + s.name, s.rate);
      all.push({ at: all.length, pool, name: s.name, state: s.state, v }); // at: its place in the configuration
      sum.n++;
      sum.v += v;
    }
  }
  return { all: all.sort((a, b) => b.v - a.v), pools };
}

// gather draws the busiest servers (all are in that order) by themselves, so that there are no more than so many ends, and the others of a
// pool as one. pools are what its servers do together.
function gather(all, pools, links, most) {
  const named = all.slice(0, all.length <= most ? all.length : Math.max(0, most - pools.size)), shown = new Map(), ends = [];
  const end = (e, kind) => { ends.push(e); links.push({ from: e.pool, to: e.key, v: e.v, kind }); };
  for (const s of named) {
    const of = shown.get(s.pool) || { n: 0, v: 0 };
    shown.set(s.pool, { n: of.n + 1, v: of.v + s.v });
    end({ at: s.at, key: "w " + s.pool + " " + s.name, pool: s.pool, name: s.name, n: 1, v: s.v, state: s.state }, s.state === "ready" ? "ask" : "out");
  }
  for (const [pool, o] of pools) {
    const of = shown.get(pool), n = o.n - (of?.n || 0);
    if (n > 0) end({ at: 1e6, key: "w " + pool + " …", pool, name: "", n, v: Math.max(0, o.v - (of?.v || 0)), state: "ready", rest: !!of }, "ask");
  }
  return ends;
}

// River draws into an SVG element.
export class River {
  constructor(box, say) {
    this.box = box;
    this.say = say;
    this.parts = new Map();
    this.bands = box.appendChild(svg("g", { class: "bands" }));
    this.nodes = box.appendChild(svg("g", { class: "nodes" }));
  }

  draw(p, before) {
    const [width, height] = size(this.box);
    if (!width || !height || !seen(this.box)) return;
    attr(this.box, "viewBox", `0 0 ${width} ${height}`);
    const narrow = width < 560;
    const f = flows(p, before);
    const at = narrow ? [2, 0.19, 0.55, 0.78, 1] : [2, 0.17, 0.42, 0.63, 0.82];
    const x = at.map((s, i) => i ? Math.round(s * width) : s);
    const poolByName = new Map((p.pools || []).map(o => ["p " + o.name, o]));
    const siteOrder = new Map((p.sites || []).map((s, i) => ["s " + s.name, i])), poolOrder = new Map((p.pools || []).map((o, i) => ["p " + o.name, i]));
    const columns = [
      [{ key: "clients", v: f.total, name: "clients", kind: "client" }],
      [...f.sites].map(([key, v]) => ({ key, v, name: key === "tcp" ? "TCP" : key === "s …" ? "other sites" : key.slice(2), kind: "site" })).sort((a, b) => (siteOrder.get(a.key) ?? 99) - (siteOrder.get(b.key) ?? 99)),
      [],
      [...f.pools].map(([key, v]) => ({ key, v, name: key === "p …" ? "other pools" : key.slice(2), kind: "pool " + (poolByName.get(key)?.state || "up") })),
      [],
    ];
    for (const o of poolByName.keys()) if (!f.pools.has(o) && columns[3].length < names.pools && calm.has(o)) columns[3].push({ key: o, v: 0, name: o.slice(2), kind: "pool " + poolByName.get(o).state });
    if (p.cache || f.hits) columns[2].push({ key: "cache", v: f.hits, name: "cache", note: share(f.total ? f.hits / f.total : 0), kind: "cache" });
    if (f.own) columns[2].push({ key: "weir", v: f.own, name: "weir itself", kind: "own" });
    // The order is the configuration's, whatever the rates: what moves each second cannot be read.
    columns[3].sort((a, b) => (poolOrder.get(a.key) ?? 99) - (poolOrder.get(b.key) ?? 99));
    const order = new Map(columns[3].map((o, i) => [o.key, i]));
    // Names take room from what is drawn: as many as leave it nearly as wide as it could be.
    let links;
    const lay = most => {
      links = f.links.map(l => ({ ...l }));
      columns[4] = narrow ? [] : gather(f.servers.all, f.servers.pools, links, most).map(e => ({ ...e, name: e.name || e.n + (e.rest ? " more" : e.n > 1 ? " servers" : " server"), kind: "server " + e.state }))
        .sort((a, b) => (order.get(a.pool) ?? 99) - (order.get(b.pool) ?? 99) || a.at - b.at);
      this.place(columns, x, height);
      return this.scale;
    };
    const widest = lay(8);
    for (const most of [17, 14, 11, 8]) if (lay(most) >= widest * 0.8) break;
    this.paint(columns, links, x, width, narrow);
    const words = `${rate(f.total)} requests a second: ${rate(f.hits)} from the cache, ${rate(f.own)} answered by weir itself, ${rate([...f.pools.values()].reduce((a, b) => a + b, 0))} to pools`;
    this.say(words);
  }

  // place finds the largest scale by which every column fits.
  place(columns, x, height) {
    const room = height - 12;
    const need = (col, k) => col.reduce((sum, n) => sum + Math.max(node.pitch, n.v * k + 6), 0);
    const body = [columns[0], columns[1], [...columns[2], ...columns[3]], columns[4]];
    const total = Math.max(columns[0][0].v, 1e-9);
    let low = 0, high = room / total;
    for (let i = 0; i < 24; i++) {
      const k = (low + high) / 2;
      if (body.every(c => need(c, k) <= room)) low = k; else high = k;
    }
    this.scale = low;
    const top = 8;
    columns.forEach((col, c) => {
      let y = top;
      if (c === 3) y = top + need(columns[2], low);
      else if (c === 4 || c === 0 || c === 1) y = top + Math.max(0, (room - need(col, low)) * (c === 4 ? 0.6 : 0.15));
      if (c === 4) y = Math.min(y, Math.max(top, (columns[3][0]?.y ?? top) - 10));
      for (const n of col) {
        const h = Math.max(node.least, n.v * low);
        n.x = x[c];
        n.y = y + Math.max(0, (node.pitch - h - 6) / 2);
        n.h = h;
        y += Math.max(node.pitch, n.v * low + 6);
      }
    });
  }

  paint(columns, links, x, width, narrow) {
    const by = new Map(columns.flat().map(n => [n.key, n]));
    const used = new Set(), outs = new Map(), ins = new Map();
    links.sort((a, b) => (by.get(a.to)?.y ?? 0) - (by.get(b.to)?.y ?? 0) || (by.get(a.from)?.y ?? 0) - (by.get(b.from)?.y ?? 0));
    for (const l of links) {
      const a = by.get(l.from), b = by.get(l.to);
      if (!a || !b) continue;
      const h = l.v * this.scale, key = "l" + l.from + "→" + l.to;
      const y0 = a.y + (outs.get(a) || 0), y1 = b.y + (ins.get(b) || 0);
      outs.set(a, (outs.get(a) || 0) + h);
      ins.set(b, (ins.get(b) || 0) + h);
      const e = this.part(key, "path", this.bands, used);
      const x0 = a.x + node.width, x1 = b.x, m = (x0 + x1) / 2, r = v => Math.round(v * 4) / 4, t = Math.max(h, 0.75);
      attr(e, "d", `M${x0} ${r(y0)}C${m} ${r(y0)} ${m} ${r(y1)} ${x1} ${r(y1)}V${r(y1 + t)}C${m} ${r(y1 + t)} ${m} ${r(y0 + t)} ${x0} ${r(y0 + t)}Z`);
      attr(e, "class", "band " + l.kind + (l.v ? "" : " dry"));
    }
    columns.forEach((col, c) => {
      for (const n of col) {
        const bar = this.part("n" + n.key, "rect", this.nodes, used);
        attr(bar, "class", "node " + n.kind);
        attr(bar, "x", n.x); attr(bar, "y", Math.round(n.y * 4) / 4); attr(bar, "width", node.width); attr(bar, "height", Math.round(n.h * 4) / 4);
        const name = this.part("t" + n.key, "text", this.nodes, used);
        attr(name, "class", "name " + n.kind);
        attr(name, "x", n.x + node.width + 5);
        attr(name, "y", Math.round(n.y + n.h / 2 + 4));
        const next = c < 4 && !(narrow && c === 3) ? x[c + 1] : width;
        const chars = Math.floor((next - n.x - 14) / 5.9) - (narrow ? 0 : rate(n.v).length + (n.note ? n.note.length + 3 : 0) + 2);
        this.label(name, n, chars, narrow && c === 0);
      }
    });
    for (const [key, e] of this.parts) if (!used.has(key)) { e.remove(); this.parts.delete(key); }
  }

  label(e, n, chars, bare) {
    if (!e.firstChild) { e.append(svg("tspan", { class: "who" }), svg("tspan", { class: "much", dx: 5 }), svg("title", {})); }
    const [who, much, full] = e.children;
    const name = n.name.length > chars && chars > 3 ? n.name.slice(0, chars - 1) + "…" : n.name;
    text(who, name);
    text(much, bare ? "" : rate(n.v) + (n.note ? " · " + n.note : ""));
    text(full, `${n.name}: ${rate(n.v)} requests a second` + (n.state && n.state !== "ready" ? ", " + n.state : ""));
  }

  part(key, name, into, used) {
    used.add(key);
    let e = this.parts.get(key);
    if (!e) { e = into.appendChild(svg(name, {})); this.parts.set(key, e); }
    return e;
  }
}
