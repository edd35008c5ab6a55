// Making and changing elements. Texts go in as texts, never as HTML: paths, header fields and reasons come from strangers.

export const $ = id => document.getElementById(id);

// el makes an element: el("td", {class: "x", onclick: f}, "text", child, …).
export function el(name, props, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(props || {})) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (key === "class") e.className = value;
    else e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.filter(c => c != null && c !== false).map(c => typeof c === "object" ? c : plain(c)));
  return e;
}

const svgNS = "http://www.w3.org/2000/svg";

export function svg(name, props) {
  const e = document.createElementNS(svgNS, name);
  for (const key in props) e.setAttribute(key, props[key]);
  return e;
}

// text, attr and cls change only what differs: what stays costs neither layout nor paint, and is not read out again.
export function text(e, s) {
  s = plain(s);
  if (e.weirText !== s) { e.weirText = s; e.textContent = s; }
}

// Signs that turn the direction of what follows, or that nobody can see, are shown as a dot: a name must not rewrite the sentence that it is in.
const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;

export function plain(s) {
  s = String(s);
  return unseen.test(s) ? s.replace(unseen, "·") : s;
}

export function attr(e, name, value) {
  if (value == null || value === false) { if (e.hasAttribute(name)) e.removeAttribute(name); } else {
    const s = value === true ? "" : String(value);
    if (e.getAttribute(name) !== s) e.setAttribute(name, s);
  }
}

export function cls(e, s) { if (e.className !== s) e.className = s; }

// seen says whether an element is where somebody may look, or has no place yet; size, how large it is. Both are told by observers: to ask
// in between would have the browser lay the page out for each question.
export function seen(e) {
  if (e.weirSeen === undefined) { e.weirSeen = true; watchSeen.observe(e); }
  return e.weirSeen || e.hidden;
}

export function size(e) {
  if (!e.weirSize) { e.weirSize = [e.clientWidth, e.clientHeight]; watchSize.observe(e); }
  return e.weirSize;
}

const watchSeen = new IntersectionObserver(all => { for (const one of all) one.target.weirSeen = one.isIntersecting; }, { rootMargin: "300px" });
const watchSize = new ResizeObserver(all => {
  for (const one of all) { one.target.weirSize = [one.contentRect.width, one.contentRect.height]; one.target.dispatchEvent(new Event("sized")); }
});

// list makes a container's children those of items: by key, in order, reusing what is there. make returns an element, and fill changes it.
export function list(box, items, keyOf, make, fill) {
  const old = box.weirKeys || new Map(), now = new Map();
  let at = box.firstElementChild;
  items.forEach((item, i) => {
    let key = keyOf(item, i);
    while (now.has(key)) key += "'";
    let e = old.get(key);
    if (!e) e = make(item);
    fill(e, item, i);
    now.set(key, e);
    if (e === at) at = at.nextElementSibling; else box.insertBefore(e, at);
  });
  for (const [key, e] of old) if (now.get(key) !== e) e.remove();
  box.weirKeys = now;
}
