package pages

// The default page in two halves: the title comes between them, the status after them. It loads nothing from elsewhere,
// since what is elsewhere may be down too, and is under 2 KiB, so that it goes out in one packet or two.
const (
	pageHead  = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>`
	pageStyle = `</title><style>
:root{--bg:#f5f7f8;--ink:#17242b;--soft:#58686f;--line:#dde4e7;--accent:#0b7a8a}
@media(prefers-color-scheme:dark){:root{--bg:#10181c;--ink:#e8eef0;--soft:#93a4ab;--line:#26343a;--accent:#4cc3d3}}
*{margin:0;box-sizing:border-box}
body{min-height:100vh;display:grid;place-items:center;padding:2rem;background:var(--bg);color:var(--ink);font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{width:100%;max-width:32rem;padding-bottom:6vh}
b{display:block;font-size:clamp(4.5rem,18vw,7.5rem);line-height:1;font-weight:700;letter-spacing:-.05em;margin-left:-.04em;color:var(--accent);font-variant-numeric:tabular-nums}
h1{margin-top:1rem;font-size:1.5rem;line-height:1.25;font-weight:600;letter-spacing:-.01em}
p{margin-top:.5rem;color:var(--soft)}
small{display:block;margin-top:2rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.8125rem;color:var(--soft)}
code{font:.95em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;color:var(--ink)}
</style></head><body><main><b>`
)
