package condition

// number is one that can be asked for.
type number struct {
	name string
	unit Unit
	doc  string
}

// of flow are the numbers of requests, wherever they are told.
var ofFlow = []number{
	{"rate", Plain, "requests a second, over the last minute"},
	{"errors", Share, "answers of 500 and above, and requests without an answer whose client was still there, as a share of all requests of the last minute; not known under 20 requests"},
	{"p50", Time, "what half of the requests of the last ten seconds did not exceed"},
	{"p95", Time, "what 95 of 100 did not exceed"},
	{"p99", Time, "what 99 of 100 did not exceed"},
	{"in_rate", Size, "bytes a second from clients"},
	{"out_rate", Size, "bytes a second to clients"},
	{"hit_ratio", Share, "what the cache answered of what it could have, over the last ten minutes; not known under 100 requests"},
}

var ofServers = []number{
	{"rate", Plain, "requests a second, over the last minute"},
	{"errors", Share, "failed requests and answers of 500 and above, as a share of all of the last minute; not known under 20 requests"},
	{"p50", Time, "to the first byte: what half of the requests of the last ten seconds did not exceed"},
	{"p95", Time, "what 95 of 100 did not exceed"},
	{"p99", Time, "what 99 of 100 did not exceed"},
	{"active", Plain, "requests under way"},
}

// kind is a kind of thing that a condition can be about.
type kind struct {
	name    string
	doc     string
	numbers []number
}

var kinds = []kind{
	{"total", "weir as a whole, and the machine", append([]number{
		{"active", Plain, "requests under way"},
		{"connections", Plain, "clients' connections"},
		{"restarts", Plain, "deaths of the process that serves, since weir was started"},
		{"load", Plain, "the machine's load over one minute, for each processor"},
		{"memory", Share, "of the machine, that is in use"},
		{"swap", Share, "of the machine, that is in use"},
		{"files", Share, "descriptors of the machine that are open"},
	}, ofFlow...)},
	{"site", "each site", ofFlow},
	{"route", "each route", ofFlow},
	{"pool", "each pool", append([]number{
		{"queued", Plain, "requests that wait"},
		{"queue_p95", Time, "what 95 of 100 of those that waited did not exceed"},
		{"open", Plain, "servers that take requests"},
		{"servers", Plain, "all of its servers"},
	}, ofServers...)},
	{"server", "each server", append([]number{
		{"check_time", Time, "what its last check took"},
		{"weight", Plain, "as it is configured"},
	}, ofServers...)},
}

// Known is a number that conditions may ask for, for documentation.
type Known struct {
	Of, Name, Doc string
	Unit          Unit
}

// All are the numbers that there are, by what they are of.
func All() (all []Known) {
	for _, k := range kinds {
		for _, n := range k.numbers {
			all = append(all, Known{k.name, n.name, n.doc, n.unit})
		}
	}
	return all
}
