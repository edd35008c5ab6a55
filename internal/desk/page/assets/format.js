// Numbers and times as texts. Everything that is shown is short, aligned, and never wider than its column.

export const nothing = "–";

// count is a total: exact while it is small.
export function count(n) {
  if (n == null || !isFinite(n)) return nothing;
  if (n < 100000) return group(Math.round(n));
  return scaled(n, 1000, ["", "k", "M", "G", "T"]);
}

// amount is a number of somebody else's: it may be whole or not, and below 0.
export function amount(n) { return n < 0 ? "−" + amount(-n) : Number.isInteger(n) || n >= 10 ? count(n) : rate(n); }

// many is so many of something.
export function many(n, what) { return count(n) + " " + what + (n === 1 ? "" : "s"); }

// short is a total for a narrow column: in four signs.
export function short(n) { return n < 10000 ? count(n) : scaled(n, 1000, ["", "k", "M", "G", "T"], "", 2); }

// rate is per second: what is not nothing does not look like nothing.
export function rate(n) {
  if (n == null || !isFinite(n)) return nothing;
  if (n === 0) return "0";
  if (n < 0.1) return "<0.1";
  if (n < 10) return trim(n.toFixed(1));
  if (n < 100000) return group(Math.round(n));
  return scaled(n, 1000, ["", "k", "M"]);
}

export function bytes(n) {
  if (n == null || !isFinite(n)) return nothing;
  if (n < 1000) return Math.round(n) + " B";
  return scaled(n, 1024, ["B", "K", "M", "G", "T"], " ");
}

// ms is milliseconds, 0 when there was nothing to measure.
export function ms(n) {
  if (!n || !isFinite(n)) return nothing;
  if (n < 0.01) return "<0.01";
  if (n < 0.095) return trim(n.toFixed(2));
  if (n < 10) return trim(n.toFixed(1));
  if (n < 1000) return String(Math.round(n));
  if (n < 10000) return trim((n / 1000).toFixed(1)) + " s";
  return Math.round(n / 1000) + " s";
}

// took is milliseconds with their unit.
export function took(n) { return ms(n) + (n >= 1000 || !n ? "" : " ms"); }

export function share(x) {
  if (x == null || x < 0 || !isFinite(x)) return nothing;
  const p = 100 * x;
  return (p > 0 && p < 0.05 ? "<0.1" : p < 1 ? trim(p.toFixed(1)) : p > 99 && p < 100 ? trim((Math.floor(p * 10) / 10).toFixed(1)) : Math.round(p)) + " %";
}

// span is a time in seconds, in its two largest units.
export function span(s) {
  if (s == null || !isFinite(s)) return nothing;
  s = Math.max(0, Math.floor(s));
  if (s < 60) return s + " s";
  if (s < 3600) return two(s, 60, "m", 1, "s");
  if (s < 86400) return two(s, 3600, "h", 60, "m");
  return two(s, 86400, "d", 3600, "h");
}

function two(s, big, bigName, small, smallName) {
  const rest = Math.floor((s % big) / small);
  return Math.floor(s / big) + " " + bigName + (rest ? " " + rest + " " + smallName : "");
}

// brief is the same for a narrow column: of what takes long, days alone.
export function brief(s) { return s >= 864000 ? Math.floor(s / 86400) + "d" : span(s).replaceAll(" ", ""); }

const clockForm = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayForm = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export function clock(date) { return clockForm.format(date); }

// when is a moment: the time alone if it was within half a day.
export function when(date, now = Date.now()) {
  const t = date instanceof Date ? date : new Date(date);
  if (isNaN(t)) return nothing;
  return Math.abs(now - t) < 43200e3 ? clockForm.format(t) : dayForm.format(t);
}

const sets = new Intl.NumberFormat("en-GB");
const group = n => n < 10000 ? String(n) : sets.format(n);
const trim = s => s.includes(".") ? s.replace(/\.?0+$/, "") : s;

function scaled(n, base, units, space = "", digits = 3) {
  let i = 0;
  while (n >= base * 0.9995 && i < units.length - 1) { n /= base; i++; }
  return trim(n.toFixed(Math.max(0, digits - (n < 9.95 ? 1 : n < 99.5 ? 2 : 3)))) + space + units[i];
}
