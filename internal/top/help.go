package top

// helpText is what `?` shows. Lines without a text are headings.
var helpText = []fact{
	{"Views", ""},
	{"1 to 8", "overview, pools, workers, routes, cache, log, events, and the apps' own numbers (8), where there are any"},
	{"Tab", "the next view; Shift+Tab: the one before"},
	{"Enter", "look into what is chosen; Esc: back"},
	{"up, down", "choose (also j and k, PgUp and PgDn, g and G); in a page of text: scroll"},
	{"t", "how far back graphs go: 10 minutes, 3 hours, a day, a week"},
	{"space", "pause: nothing moves until the next one"},
	{"Tables", ""},
	{"left, right", "sort by the column beside (also < and >, or a click on its name)"},
	{"r", "turn the order around"},
	{"o", "the order of the configuration"},
	{"/", "show only what has all these words; -word: and not this one"},
	{"Log", ""},
	{"/", "the filter of `weir log`, such as status>=500 or time>1s: it is applied before anything is sent here"},
	{"l", "as they end, or the slow and failed ones of late"},
	{"Acting, on a server or a worker", ""},
	{"d", "drain: no new sessions"},
	{"m", "maintenance: nothing at all"},
	{"e", "ready: requests again"},
	{"w", "weight"},
	{"R", "reload the app: its workers are replaced one by one"},
	{"", "each asks first, and takes a reason for the record"},
	{"Else", ""},
	{"M", "let the terminal have the mouse, to mark text, or take it back"},
	{"Ctrl+Z", "put it to sleep; q or Ctrl+C: leave"},
	{"Columns", ""},
	{"CUR MAX LIM", "requests under way, the most there were, how many there may be"},
	{"ERR/s", "answers of 500 and above, and requests without an answer, a second"},
	{"P50 P95 P99", "of 100 requests of the last ten seconds, 50, 95, 99 took no longer; of servers: to the first byte"},
	{"HIT", "of what the cache could have answered in the last ten seconds, what it did"},
	{"DOWNS DOWN", "how often a server went down, and for how long in all"},
}

func helpLines(p *paint, w int) (out []line) {
	for _, h := range helpText {
		if h.value == "" {
			if len(out) > 0 {
				out = append(out, nil)
			}
			out = append(out, line{{h.name, title}})
			continue
		}
		for i, l := range wrap(h.value, max(w-14, 10)) {
			name := ""
			if i == 0 {
				name = h.name
			}
			out = append(out, line{p.fit(cell{name, accent}, 12, true), {"  " + l, plain}})
		}
	}
	return out
}
