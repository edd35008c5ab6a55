package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/weirhq/weir/internal/metrics"
	"github.com/weirhq/weir/internal/picture"
)

func write(p *picture.Picture, f format, more ...Family) []byte {
	return render(p, newEncoder(f, p.Counted, 0), more)
}

// parseText reads the text format as Prometheus's own library does.
func parseText(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	got, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, page)
	}
	return got
}

func parseProto(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	got := map[string]*dto.MetricFamily{}
	dec := expfmt.NewDecoder(bytes.NewReader(page), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var f dto.MetricFamily
		if err := dec.Decode(&f); errors.Is(err, io.EOF) {
			return got
		} else if err != nil {
			t.Fatal(err)
		}
		if got[f.GetName()] != nil {
			t.Errorf("%s comes twice", f.GetName())
		}
		got[f.GetName()] = &f
	}
}

// flatten is every value of a page by its name and labels, without the native buckets.
func flatten(t *testing.T, families map[string]*dto.MetricFamily) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	put := func(key string, v float64) {
		if _, twice := all[key]; twice {
			t.Errorf("%s comes twice", key)
		}
		all[key] = v
	}
	for name, f := range families {
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += "," + l.GetName() + "=" + l.GetValue()
			}
			switch {
			case m.Counter != nil:
				put(key, m.Counter.GetValue())
			case m.Gauge != nil:
				put(key, m.Gauge.GetValue())
			case m.Histogram != nil:
				put(key+" count", float64(m.Histogram.GetSampleCount()))
				put(key+" sum", m.Histogram.GetSampleSum())
				for _, b := range m.Histogram.Bucket {
					if !math.IsInf(b.GetUpperBound(), 1) {
						put(fmt.Sprint(key, " le ", b.GetUpperBound()), float64(b.GetCumulativeCount()))
					}
				}
			default:
				t.Errorf("%s is nothing that is known", key)
			}
		}
	}
	return all
}

// TestFormatsAgree: Prometheus's own parser reads text and protobuf, and reads the same values of both; what the text in OpenMetrics
// says beyond that is a form of its own.
func TestFormatsAgree(t *testing.T) {
	for name, p := range map[string]*picture.Picture{"small": small(), "large": large(30, 3, 4), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			text, proto := flatten(t, parseText(t, write(p, plain))), flatten(t, parseProto(t, write(p, protobuf)))
			open := readOpenMetrics(t, string(write(p, openMetrics)))
			if len(text) < 20 || len(proto) != len(text) || len(open) != len(text) {
				t.Errorf("%d values in text, %d in protobuf, %d in OpenMetrics", len(text), len(proto), len(open))
			}
			for key, v := range text {
				if got, ok := proto[key]; !ok || got != v {
					t.Errorf("%s is %v in text and %v in protobuf", key, v, got)
				}
				if got, ok := open[key]; !ok || got != v {
					t.Errorf("%s is %v in text and %v in OpenMetrics", key, v, got)
				}
			}
		})
	}
}

// readOpenMetrics reads the text as the specification's grammar has it, as far as weir uses it, and returns it in the form of flatten. Exemplars and
// times of creation are checked and left out.
func readOpenMetrics(t *testing.T, page string) map[string]float64 {
	t.Helper()
	rest, ok := strings.CutSuffix(page, "# EOF\n")
	if !ok {
		t.Fatal("the page does not end in # EOF")
	}
	got, kinds, family := map[string]float64{}, map[string]string{}, ""
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# ") {
			word := strings.SplitN(line, " ", 4)
			if word[1] == "TYPE" {
				if _, twice := kinds[word[2]]; twice {
					t.Errorf("the family %s comes twice", word[2])
				}
				family = word[2]
				kinds[family] = word[3]
			}
			continue
		}
		name, labels, value, exemplar := splitSample(t, line)
		suffix := strings.TrimPrefix(name, family)
		fits := map[string][]string{"counter": {"_total", "_created"}, "gauge": {""}, "histogram": {"_bucket", "_sum", "_count", "_created"}}
		if len(name) == len(suffix) && family != "" || !contains(fits[kinds[family]], suffix) {
			t.Errorf("%s is no sample of the %s %s", name, kinds[family], family)
		}
		if exemplar != "" && suffix != "_bucket" {
			t.Errorf("an exemplar at %s", name)
		}
		key, le := name, ""
		if kinds[family] == "histogram" {
			key = family
		}
		for _, l := range labels {
			if l[0] == "le" {
				le = l[1]
				continue
			}
			key += "," + l[0] + "=" + l[1]
		}
		switch suffix {
		case "_created":
			if value <= 0 {
				t.Errorf("%s was created at %v", name, value)
			}
			continue
		case "_bucket":
			bound, err := strconv.ParseFloat(le, 64)
			if err != nil || le != "+Inf" && !strings.Contains(le, ".") {
				t.Errorf("the bound %q", le)
			}
			checkExemplar(t, exemplar, bound)
			if le == "+Inf" {
				continue
			}
			key = fmt.Sprint(key, " le ", bound)
		case "_sum", "_count":
			key += " " + suffix[1:]
		}
		if _, twice := got[key]; twice {
			t.Errorf("%s comes twice", key)
		}
		got[key] = value
	}
	return got
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func checkExemplar(t *testing.T, exemplar string, bound float64) {
	t.Helper()
	if exemplar == "" {
		return
	}
	_, labels, value, _ := splitSample(t, "x"+strings.TrimSuffix(exemplar, exemplar[strings.LastIndexByte(exemplar, ' '):]))
	size := 0
	for _, l := range labels {
		size += len(l[0]) + len(l[1])
	}
	if size == 0 || size > maxExemplar || value > bound {
		t.Errorf("the exemplar %s in the bucket to %v", exemplar, bound)
	}
}

// splitSample splits name{labels} value # exemplar.
func splitSample(t *testing.T, line string) (name string, labels [][2]string, value float64, exemplar string) {
	t.Helper()
	at := strings.IndexAny(line, "{ ")
	name, rest := line[:at], line[at:]
	if rest[0] == '{' {
		rest = rest[1:]
		for rest[0] != '}' {
			rest = strings.TrimPrefix(rest, ",")
			key, tail, ok := strings.Cut(rest, `="`)
			if !ok {
				t.Fatalf("no label in %s", line)
			}
			var v strings.Builder
			for tail[0] != '"' {
				if tail[0] == '\\' {
					v.WriteByte(map[byte]byte{'n': '\n', '"': '"', '\\': '\\'}[tail[1]])
					tail = tail[2:]
					continue
				}
				v.WriteByte(tail[0])
				tail = tail[1:]
			}
			labels = append(labels, [2]string{key, v.String()})
			rest = tail[1:]
		}
		rest = rest[1:]
	}
	number, exemplar, _ := strings.Cut(strings.TrimPrefix(rest, " "), " # ")
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatalf("no value in %s: %v", line, err)
	}
	return name, labels, value, exemplar
}

// TestNativeBuckets: a native histogram has the counts of the one that the loops kept, at the bounds of its schema.
func TestNativeBuckets(t *testing.T) {
	p := small()
	var edges metrics.Histogram
	for i := range metrics.NumBuckets {
		if i%3 != 1 {
			edges.Buckets[i] = uint64(i + 1)
		}
	}
	for _, h := range []metrics.Histogram{p.Total.Time, {}, edges} {
		p.Total.Time = h
		got := parseProto(t, write(p, protobuf))["weir_request_duration_seconds"].Metric[0].Histogram
		if got.GetSchema() != metrics.Schema || got.GetSampleCount() != h.Count() || got.GetZeroCount() != h.Buckets[0] || got.GetZeroThreshold() != math.Exp2(-16) {
			t.Errorf("it has %d in schema %d, %d below %v", got.GetSampleCount(), got.GetSchema(), got.GetZeroCount(), got.GetZeroThreshold())
		}
		var back metrics.Histogram
		back.Sum, back.Buckets[0] = h.Sum, got.GetZeroCount()
		index, n, next := 0, int64(0), 0
		for _, s := range got.PositiveSpan {
			index += int(s.GetOffset())
			for range s.GetLength() {
				n += got.PositiveDelta[next]
				// By the schema's definition a bucket ends at 2^(index/8) seconds.
				i := index - metrics.FirstExponent
				if end := math.Exp2(float64(index) / 8); math.Abs(metrics.Bound(i).Seconds()-end) > 2e-9 {
					t.Errorf("bucket %d ends at %v, not at %v", i, metrics.Bound(i), end)
				}
				back.Buckets[i] = uint64(n)
				next++
				index++
			}
		}
		if back != h || next != len(got.PositiveDelta) {
			t.Errorf("it came back as another one")
		}
	}
}

// TestClassicBucketsAreExact: each ends where a bucket of the loops ends.
func TestClassicBucketsAreExact(t *testing.T) {
	for e := firstClassic; e <= lastClassic; e++ {
		if got, want := metrics.Bound(classicEnd(e)).Seconds(), math.Ldexp(1, e); math.Abs(got-want) > 1e-9 {
			t.Errorf("the bucket to %v s ends at %v", want, got)
		}
	}
}

// TestPlaces: a worker is told by its place; the process that came last counts.
func TestPlaces(t *testing.T) {
	got := flatten(t, parseText(t, write(small(), plain)))
	for key, want := range map[string]float64{
		"weir_server_requests_total,pool=web,server=web/1":                         5,
		"weir_server_active,pool=web,server=web/1":                                 2,
		"weir_server_up,pool=web,server=web/1":                                     1,
		"weir_server_requests_total,pool=fixed,server=v1.2/3.4":                    7,
		"weir_server_state,pool=fixed,server=v1.2/3.4,state=other":                 1,
		"weir_server_weight,pool=fixed,server=10.0.0.1:80":                         1,
		"weir_worker_state,app=web,worker=web/1,state=live":                        1,
		"weir_worker_state,app=web,worker=web/2,state=other":                       1,
		"weir_process_cpu_ratio,process=web/1":                                     2,
		"weir_request_ends_total,cause=no_server":                                  2,
		"weir_request_ends_total,cause=other":                                      3,
		"weir_route_requests_total,site=www.example.com,route=api,class=none":      1,
		"weir_pool_breaker_open,pool=web":                                          0.5,
		"weir_route_cache_requests_total,site=www.example.com,route=api,cache=hit": 4,
		"weir_build_info,version=1.2.3,node=web-1":                                 1,
		"weir_route_info,site=a\"b\\c\n\uFFFD,route=x,pool=":                       1,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", key, v, ok, want)
		}
	}
	for name, want := range map[string]string{"web/1.3": "web/1 3", "web/1": "web/1 1", "web": "web 1", "a.b/1": "a.b/1 1", "web/1.x": "web/1.x 1", "10.0.0.1:80": "10.0.0.1:80 1", "": " 1"} {
		if place, born := placeOf(name); fmt.Sprint(place, " ", born) != want {
			t.Errorf("%q is %s %d", name, place, born)
		}
	}
}

// TestReasonsAreBounded: an edge that makes up words does not make up series.
func TestReasonsAreBounded(t *testing.T) {
	p := small()
	p.Routes[0].Whys = map[string]uint64{strings.Repeat("x", 100): 5}
	for i := range 1000 {
		p.Routes[0].Whys[fmt.Sprint("why-", i)] = 1
	}
	n, sum := 0, 0.0
	for _, m := range parseText(t, write(p, plain))["weir_route_cache_reasons_total"].Metric {
		n++
		sum += m.Counter.GetValue()
	}
	if n != manyWhys+1 || sum != 1005 {
		t.Errorf("%d series with %v requests", n, sum)
	}
}

// TestExemplars: a request that has too much of a name is told by what fits, or not at all.
func TestExemplars(t *testing.T) {
	p := small()
	long := strings.Repeat("é", 128)
	p.Total.Slow.ID = long
	page := string(write(p, openMetrics))
	if !strings.Contains(page, ` # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.3 `) || strings.Contains(page, long) {
		t.Error("the exemplar is not told by its trace alone")
	}
	p.Total.Slow.Trace = ""
	for _, f := range []format{openMetrics, protobuf} {
		if page := string(write(p, f)); strings.Contains(page, long) || strings.Contains(page, "} 0.3 ") {
			t.Errorf("format %d: an exemplar without a name", f)
		}
	}
	p = small()
	h := parseProto(t, write(p, protobuf))["weir_request_duration_seconds"].Metric[0].Histogram
	if len(h.Exemplars) != 1 || h.Exemplars[0].GetValue() != 0.3 || h.Exemplars[0].Timestamp.AsTime() != noon {
		t.Errorf("the native histogram has the exemplars %v", h.Exemplars)
	}
	for _, b := range h.Bucket {
		if (b.Exemplar != nil) != (b.GetUpperBound() == 0.5) {
			t.Errorf("the bucket to %v has the exemplar %v", b.GetUpperBound(), b.Exemplar)
		}
	}
}

// TestNames: they are what Prometheus's guidelines want.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range families {
		if seen[f.name] {
			t.Errorf("%s is there twice", f.name)
		}
		seen[f.name] = true
		if !model.LegacyValidation.IsValidMetricName(f.name) || !strings.HasPrefix(f.name, "weir_") {
			t.Errorf("%q is no name", f.name)
		}
		if strings.HasSuffix(f.name, "_total") != (f.kind == Counter) {
			t.Errorf("%s is a %v", f.name, f.kind)
		}
		if f.kind == Histogram && !strings.HasSuffix(f.name, "_seconds") {
			t.Errorf("%s does not name its unit", f.name)
		}
		if !strings.HasSuffix(f.help, ".") || strings.ContainsAny(f.help, "\n\\") {
			t.Errorf("%s: %q", f.name, f.help)
		}
	}
	// What the table says of labels is what is told.
	said := map[string][]string{}
	for _, f := range families {
		said[f.name] = f.labels
	}
	for name, f := range parseText(t, write(small(), plain)) {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName())
			}
			if fmt.Sprint(labels) != fmt.Sprint(said[name]) {
				t.Errorf("%s has the labels %v and is said to have %v", name, labels, said[name])
			}
		}
		delete(said, name)
	}
	for name := range said {
		t.Errorf("%s is not told of a picture that has everything", name)
	}
}

// TestOthers: what other parts of the desk add is told beside weir's own.
func TestOthers(t *testing.T) {
	more := Family{Name: "app_logins_total", Kind: Counter, Help: "As the app says.", Samples: []Sample{{Labels: [][2]string{{"by", `a"b`}}, Value: 3}, {Value: math.Inf(1)}}}
	timer := Family{Name: "app_render_seconds", Kind: Histogram, Help: "Likewise.", Samples: []Sample{{Labels: [][2]string{{"page", "x"}}, Histogram: &small().Total.Time}, {Labels: [][2]string{{"page", "y"}}}}}
	for _, got := range []map[string]float64{flatten(t, parseText(t, write(small(), plain, more, timer))), flatten(t, parseProto(t, write(small(), protobuf, more, timer))),
		readOpenMetrics(t, string(write(small(), openMetrics, more, timer)))} {
		if got["app_render_seconds,page=x count"] != 60 {
			t.Error("a histogram of others is not told")
		}
		if got[`app_logins_total,by=a"b`] != 3 || !math.IsInf(got["app_logins_total"], 1) {
			t.Errorf("it came out as %v", got["app_logins_total"])
		}
	}
}
