// Arrow keys step through a user's photos and through pages.
addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (rel) document.querySelector(`a[rel=${rel}]`)?.click();
});

// Dates read as "3 days ago" for a month; the exact time is the tooltip.
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
for (const time of document.querySelectorAll("time")) {
  const then = new Date(time.dateTime);
  time.title = then.toLocaleString();
  const minutes = (then - Date.now()) / 60000;
  if (minutes < -60 * 24 * 30) continue;
  const [amount, unit] = minutes > -60 ? [minutes, "minute"] : minutes > -1440 ? [minutes / 60, "hour"] : [minutes / 1440, "day"];
  time.textContent = relative.format(Math.round(amount), unit);
}

// A chosen photo is shown before it is sent.
const chosen = document.querySelector("input[data-preview]");
chosen?.addEventListener("change", () => {
  const preview = document.querySelector(".preview");
  preview.hidden = !chosen.files[0];
  if (chosen.files[0]) preview.src = URL.createObjectURL(chosen.files[0]);
});
