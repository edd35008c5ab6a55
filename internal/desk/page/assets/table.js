// The table of sites, pools, servers and workers. When there are many rows only those that can be seen are in the document, and only
// cells whose text has changed are touched: a picture costs what is looked at, however much there is.
import { $, el, text, attr, cls } from "./dom.js";
import { brief, many } from "./format.js";
import { columns, words } from "./columns.js";
import { state, on } from "./stream.js";

const rowHeight = 25, crowd = 160; // servers beyond which pools that are well begin closed
const whole = 60, spare = 6, least = 16; // so many rows are drawn all; else those in sight, some beyond, and never fewer

export class Table {
  constructor(open) {
    this.box = $("servers-box");
    this.table = $("servers");
    this.body = this.table.tBodies[0];
    this.open = open; // shows a row's details
    this.rows = [];
    this.slots = [];
    this.shut = new Map(); // pools and sites that somebody has opened or closed
    this.query = "";
    this.onlyBad = false;
    this.sort = null;
    this.chosen = null; // key of the row where the keyboard is
    this.heads();
    this.above = el("tr", { class: "gap", "aria-hidden": "true" }, el("td", { colspan: columns.length + 3 }));
    this.below = this.above.cloneNode(true);
    this.body.append(this.above, this.below);
    for (const at of [this.box, window]) at.addEventListener("scroll", () => this.later(true), { passive: true });
    new ResizeObserver(() => this.later(true)).observe(this.box);
    this.body.addEventListener("click", e => this.click(e));
    on("lost", () => this.later());
  }

  heads() {
    const groups = el("tr", { class: "groups" }, el("td", { colspan: 3 })), heads = el("tr"), cols = el("colgroup");
    const head = (c, i) => {
      const b = el("button", { class: "sort", title: c.tip, onclick: () => this.sortBy(c) }, c.head);
      return el("th", { scope: "col", class: "c-" + c.id + (c.left ? " left" : "") + (c.first ? " first" : "") }, b);
    };
    let last = null;
    for (const c of columns) {
      c.first = c.group !== last?.group;
      if (c.first) { last = { group: c.group, cell: el("th", { scope: "colgroup", class: "first", colspan: 0 }, c.group) }; if (!c.group) last.cell = el("td", { colspan: 0 }); groups.append(last.cell); }
      last.cell.colSpan = (last.n = (last.n || 0) + 1);
    }
    const fixed = [{ id: "name", head: "Name", left: true, by: s => s.name }, { id: "state", head: "State", left: true, by: s => s.state }, { id: "since", head: "Since", by: s => -new Date(s.since || 0) }];
    for (const c of [...fixed, ...columns]) { cols.append(el("col", { class: "c-" + c.id })); heads.append(head(c)); c.th = heads.lastChild; }
    this.fixed = fixed;
    this.table.tHead.append(groups, heads);
    this.table.prepend(cols);
  }

  sortBy(c) {
    if (!c.by) return;
    this.sort = this.sort?.c !== c ? { c, down: c.id !== "name" && c.id !== "state" } : this.sort.down === (c.id !== "name" && c.id !== "state") ? { c, down: !this.sort.down } : null;
    for (const o of [...this.fixed, ...columns]) attr(o.th, "aria-sort", this.sort?.c === o ? (this.sort.down ? "descending" : "ascending") : null);
    this.take(state.picture);
  }

  filter(query) { this.query = query.trim().toLowerCase(); this.box.scrollTop = 0; this.take(state.picture); }

  problems(onlyBad) { this.onlyBad = onlyBad; this.box.scrollTop = 0; this.take(state.picture); }

  // take makes the list of rows; what stands in them is found out when they are drawn.
  take(p) {
    if (!p) return;
    const workers = new Map();
    for (const a of p.apps || []) for (const w of a.workers) workers.set(w.name, w);
    const hands = new Map((p.hands || []).map(h => [h.pool + "/" + h.server, h]));
    const n = p.pools.reduce((sum, o) => sum + o.servers.length, 0);
    const want = this.query.split(/\s+/).filter(Boolean);
    const fits = (...texts) => { const all = texts.join(" ").toLowerCase(); return want.every(w => all.includes(w)); };
    const narrowed = want.length > 0 || this.onlyBad;
    const rows = [];
    this.known = new Map(); // whatever the filter says: details stay what they are
    let shown = 0;
    if (!this.sort) {
      for (const s of p.sites) {
        if (this.onlyBad && !s.errors) continue;
        const routes = p.routes.filter(r => r.site === s.name && fits(s.name, r.name, r.pool || ""));
        if (want.length && !fits(s.name, ...(s.hosts || [])) && !routes.length) continue;
        const open = this.shut.get("site " + s.name) === false || want.length > 0 && routes.length > 0 && !fits(s.name);
        rows.push({ key: "site " + s.name, kind: "site", name: s.name, f: s, open, fold: p.routes.some(r => r.site === s.name), state: p.edge.up ? "open" : "down" });
        if (open) for (const r of routes) rows.push({ key: "route " + r.site + " " + r.name, kind: "route", name: r.name, f: r, state: "" });
      }
      if (rows.length) rows.unshift({ key: "sites", kind: "title", name: "Sites" });
    }
    const pools = [];
    for (const o of p.pools) {
      const list = [], at = new Set();
      for (const s of o.servers) {
        const w = o.app ? workers.get(s.name) : undefined;
        if (w) at.add(w.name);
        const r = { key: "server " + o.name + " " + s.name, kind: o.app ? "worker" : "server", name: s.name, pool: o, s, w, state: s.state, hand: hands.get(o.name + "/" + s.name) };
        this.known.set(r.key, r);
        if (this.onlyBad && s.state === "ready" && !s.error_rate) continue;
        if (want.length && !fits(o.name, s.name, s.address, s.state, words[s.state] || "", s.why || "", s.backup ? "backup" : "")) continue;
        list.push(r);
      }
      // Workers that are no servers yet, or no more, are told of as well.
      for (const a of p.apps || []) if (a.name === o.app) for (const w of a.workers) {
        if (!at.has(w.name) && w.state !== "live" && fits(o.name, w.name, w.state, w.last || "")) list.push({ key: "worker " + w.name, kind: "worker", name: w.name, pool: o, w, state: w.looping ? "failing" : w.state });
      }
      if (narrowed && !list.length && !(fits(o.name, o.state) && (!this.onlyBad || o.state !== "up"))) continue;
      const shut = this.shut.get("pool " + o.name);
      const open = want.length > 0 || (shut !== undefined ? !shut : narrowed || n <= crowd || o.state !== "up");
      const pool = { key: "pool " + o.name, kind: "pool", name: o.name, o, open, fold: o.servers.length > 0 || list.length > 0, state: o.state };
      this.known.set(pool.key, pool);
      if (!this.sort) pools.push(pool);
      if (open || this.sort) pools.push(...list);
      shown += list.length;
    }
    if (this.sort) {
      const { c, down } = this.sort, of = r => r.s ? c.by(r.s, r.w) ?? 0 : -1;
      pools.sort((a, b) => { const x = of(a), y = of(b); return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1) || (a.key < b.key ? -1 : 1); });
    } else if (pools.length) pools.unshift({ key: "pools", kind: "title", name: "Pools" });
    rows.push(...pools);
    this.rows = rows;
    this.now = new Date(p.at);
    attr(this.table, "aria-rowcount", rows.length + 2);
    text($("servers-count"), narrowed ? `${shown} of ${many(n, "server")}` : many(n, "server") + " in " + many(p.pools.length, "pool"));
    attr($("servers-none"), "hidden", rows.length > 0 || null);
    this.draw();
  }

  // later draws with the next frame; what only moved is drawn where it came into sight.
  later(moved = false) {
    if (!moved) this.anew = true;
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.draw(!this.anew); });
  }

  // range is which rows are in the document. It asks where the table lies: nothing may have been changed before in the same frame.
  range() {
    const all = this.rows.length;
    if (all <= whole) return [0, all];
    const box = this.box.getBoundingClientRect(), top = this.table.getBoundingClientRect().top + this.table.tHead.offsetHeight;
    const end = Math.ceil((Math.min(innerHeight, box.bottom) - top) / rowHeight) + spare;
    const first = Math.max(0, Math.min(Math.floor((Math.max(0, box.top) - top) / rowHeight) - spare, all - least));
    return [first, Math.max(least, Math.min(all, end) - first)];
  }

  draw(moved = false) {
    const [first, n] = this.range(), all = this.rows.length;
    if (moved && first === this.first && n === this.slots.length) return;
    this.anew = false;
    const held = document.activeElement?.closest?.("#servers tbody tr") ? this.chosen : null;
    this.turn(first - (this.first ?? first));
    this.first = first;
    while (this.slots.length < n) this.slots.push(this.slot());
    while (this.slots.length > n) this.slots.pop().tr.remove();
    const gap = (tr, rows) => { attr(tr, "hidden", rows <= 0); const h = rows * rowHeight + "px"; if (tr.firstChild.style.height !== h) tr.firstChild.style.height = h; };
    gap(this.above, first);
    gap(this.below, all - first - n);
    this.slots.forEach((slot, i) => { const r = this.rows[first + i]; if (!moved || slot.row !== r) this.fill(slot, r, first + i); });
    // The keyboard stays where it is, or with the table when its row is out of sight.
    const at = held && (this.slots.find(s => s.row.key === held)?.name || this.box);
    if (at && at !== document.activeElement) at.focus({ preventScroll: true });
  }

  // turn takes rows that have gone out of sight to the other end: the others stay as they are.
  turn(by) {
    if (Math.abs(by) >= this.slots.length) return;
    for (; by > 0; by--) { const s = this.slots.shift(); this.below.before(s.tr); this.slots.push(s); }
    for (; by < 0; by++) { const s = this.slots.pop(); this.above.after(s.tr); this.slots.unshift(s); }
  }

  slot() {
    const name = el("button", { class: "who" }), word = el("span", { class: "word" });
    const level = el("i", { class: "level" });
    const cells = [el("td", { class: "c-state left" }, word), el("td", { class: "c-since" })];
    const texts = columns.map(c => {
      const td = el("td", { class: "c-" + c.id + (c.left ? " left" : "") + (c.first ? " first" : "") });
      td.weirClass = td.className;
      if (c.id === "now") { td.append(level, el("span")); return td.lastChild; }
      return td;
    });
    const tr = el("tr", {}, el("th", { scope: "row", class: "c-name" }, name), ...cells, ...texts.map(t => t.closest("td")));
    this.below.before(tr);
    return { tr, name, word, since: cells[1], texts, level };
  }

  fill(slot, r, i) {
    const { tr } = slot;
    slot.row = r;
    tr.weirRow = r;
    cls(tr, r.kind + (r.state ? " s-" + r.state : "") + (r.key === this.chosen ? " chosen" : "") + (r.key === this.shown ? " shown" : ""));
    attr(tr, "aria-rowindex", i + 3);
    text(slot.name, this.sort && r.pool ? r.pool.name + " / " + r.name : r.name);
    attr(slot.name, "tabindex", r.kind === "title" ? -1 : null);
    attr(slot.name, "aria-expanded", r.fold ? String(r.open) : null);
    attr(slot.name, "title", r.kind === "title" ? null : r.s && r.s.address !== r.name ? r.name + ", " + r.s.address : r.name);
    const since = r.s?.since || r.w?.since;
    text(slot.word, r.state ? words[r.state] || r.state : "");
    attr(slot.word, "class", r.state ? "word w-" + r.state : "word");
    text(slot.since, since && !since.startsWith("0001") ? brief((this.now - new Date(since)) / 1000) : "");
    for (let k = 0; k < columns.length; k++) {
      const c = columns[k], at = slot.texts[k];
      let s = "", hue = "";
      if (r.f) { s = c.f ? c.f(r.f) : ""; hue = c.bad?.f?.(r.f) ? " bad" : ""; } else if (r.o) { s = c.o ? c.o(r.o) : ""; hue = c.bad?.o?.(r.o) ? " bad" : c.warn?.o?.(r.o) ? " warn" : ""; }
      else if (r.s) { s = c.s ? c.s(r.s, r.w) : ""; hue = c.bad?.s?.(r.s) ? " bad" : ""; }
      else if (r.w) s = c.group === "Worker" ? c.s({}, r.w) : c.id === "check" ? r.w.last || r.w.due || "" : "";
      if (!hue && (s === "0" || s === "–")) hue = " nil";
      text(at, s);
      const td = c.id === "now" ? at.parentNode : at;
      cls(td, td.weirClass + hue);
      if (c.left) attr(td, "title", s || null);
    }
    const full = r.s?.limit ? Math.min(1, r.s.active / r.s.limit) : 0, most = r.s?.limit ? Math.round(full * 40) / 40 : 0;
    if (slot.full !== most) { slot.full = most; slot.level.style.transform = `scaleX(${most})`; }
    attr(slot.level, "class", "level" + (full >= 1 ? " over" : full >= 0.75 ? " high" : ""));
  }

  click(e) {
    const r = e.target.closest("tr")?.weirRow;
    if (!r || r.kind === "title") return;
    this.choose(r.key, false);
    if (e.target.closest("button") && r.fold) this.toggle(r); else this.open(r);
  }

  toggle(r) { this.shut.set(r.key, r.open); this.take(state.picture); }

  // all opens or closes every pool.
  all(open) { for (const o of state.picture?.pools || []) this.shut.set("pool " + o.name, !open); this.take(state.picture); }

  row(key = this.chosen) { return this.rows.find(r => r.key === key); }

  // about is a row whether it is shown or not; of a site or a route, too.
  about(key) {
    const p = state.picture, f = p.sites.find(s => "site " + s.name === key) || p.routes.find(r => "route " + r.site + " " + r.name === key);
    if (f) return { key, kind: f.site ? "route" : "site", name: f.name, f, state: f.site ? "" : p.edge.up ? "open" : "down" };
    return this.known?.get(key) || this.row(key);
  }

  choose(key, focus = true) {
    this.chosen = key;
    const i = this.rows.findIndex(r => r.key === key);
    if (focus && i >= 0) {
      const top = i * rowHeight, head = this.table.tHead.offsetHeight, room = this.box.clientHeight - head;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + rowHeight > this.box.scrollTop + room) this.box.scrollTop = top + rowHeight - room;
      const y = this.table.getBoundingClientRect().top + head + top;
      if (y < 0 || y + rowHeight > innerHeight) scrollBy(0, y - innerHeight / 2);
    }
    this.draw();
    if (focus) {
      const name = this.slots.find(s => s.row.key === key)?.name;
      name?.focus({ preventScroll: true });
      name?.scrollIntoView({ block: "nearest" });
    }
  }

  // step goes up or down.
  step(by) {
    let i = this.rows.findIndex(r => r.key === this.chosen);
    i = i < 0 ? (by > 0 ? 0 : this.rows.length - 1) : i + by;
    while (this.rows[i]?.kind === "title") i += by;
    if (this.rows[i]) this.choose(this.rows[i].key);
  }
}
