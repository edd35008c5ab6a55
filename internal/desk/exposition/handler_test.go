package exposition

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/picture"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChoose(t *testing.T) {
	const proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	for accept, want := range map[string]format{
		"":                             plain,
		"*/*":                          plain,
		"text/html":                    plain,
		"text/plain;version=0.0.4":     plain,
		"application/openmetrics-text": openMetrics,
		"application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": openMetrics,
		"application/openmetrics-text;version=2.0.0,text/plain;q=0.5":                                         plain,
		proto: protobuf,
		proto + ";q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1": protobuf,
		proto + ";q=0.3,application/openmetrics-text;q=0.4":                                                        openMetrics,
		proto + ";q=0": plain,
		"application/vnd.google.protobuf;proto=other;encoding=delimited": plain,
		"application/openmetrics-text;q=NaN":                             plain,
		"APPLICATION/OpenMetrics-Text;Q=1":                               openMetrics,
		strings.Repeat("x,", 100_000) + proto:                            plain,
	} {
		if got := choose(accept); got != want {
			t.Errorf("%.80q gets %d, want %d", accept, got, want)
		}
	}
}

func get(h http.Handler, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestAnswers: format, coding, and what is said before there is a picture.
func TestAnswers(t *testing.T) {
	var p *picture.Picture
	x := Handler(func() *picture.Picture { return p })
	if w := get(x); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("without a picture: %d", w.Code)
	}
	p = small()
	w := get(x)
	if w.Header().Get("Content-Type") != contentTypes[plain] || len(parseText(t, w.Body.Bytes())) < 50 {
		t.Errorf("text as %s", w.Header().Get("Content-Type"))
	}
	zipped := get(x, "Accept-Encoding", "gzip", "Accept", "application/openmetrics-text")
	r, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(r)
	if err != nil || zipped.Header().Get("Content-Type") != contentTypes[openMetrics] {
		t.Fatalf("%v, as %s", err, zipped.Header().Get("Content-Type"))
	}
	if got := readOpenMetrics(t, string(page)); len(got) < 50 {
		t.Errorf("OpenMetrics has %d values", len(got))
	}
}

// TestStorm: a picture is written once, whoever asks and however many they are; a later one anew; and hooks are asked once.
func TestStorm(t *testing.T) {
	p := small()
	asked := 0
	x := New(func() *picture.Picture { return p })
	x.Add(func() []Family {
		asked++
		return []Family{{Name: "app_x", Help: "X.", Samples: []Sample{{Value: float64(asked)}}}}
	})
	first := x.page(plain)
	var all sync.WaitGroup
	for range maxScrapes {
		all.Go(func() {
			if w := get(x); w.Code != http.StatusOK {
				t.Errorf("answered %d", w.Code)
			}
		})
	}
	all.Wait()
	if again := x.page(plain); again != first || asked != 1 {
		t.Errorf("it was written anew, the hook was asked %d times", asked)
	}
	later := *p
	later.At = p.At.Add(time.Second)
	p = &later
	next := x.page(plain)
	if next == first || asked != 2 || !strings.Contains(string(next.Text), "\napp_x 2\n") {
		t.Errorf("the hook was asked %d times", asked)
	}
	if again := x.page(plain); again != next {
		t.Error("a picture was written twice")
	}
}

// TestClockSetBack: the latest picture is told, whatever the clock says: one that was set back does not stop the numbers.
func TestClockSetBack(t *testing.T) {
	p := small()
	x := New(func() *picture.Picture { return p })
	x.page(plain)
	earlier := *p
	earlier.At = p.At.Add(-time.Hour)
	earlier.Total.In = 987654321
	p = &earlier
	if text := string(x.page(plain).Text); !strings.Contains(text, "987654321") {
		t.Error("with a clock that was set back the old numbers are told")
	}
}

// TestPlacesOfScrapes: who comes when too many are being answered is told so at once.
func TestPlacesOfScrapes(t *testing.T) {
	p := small()
	x := New(func() *picture.Picture { return p })
	for range maxScrapes {
		x.places <- struct{}{}
	}
	if w := get(x); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("answered %d", w.Code)
	}
	<-x.places
	if w := get(x); w.Code != http.StatusOK {
		t.Errorf("answered %d when there was a place again", w.Code)
	}
	if len(x.places) != maxScrapes-1 {
		t.Error("a place was not given back")
	}
}

// TestEffort: what a scrape costs grows no faster than what there is to tell, and a line costs no allocation.
func TestEffort(t *testing.T) {
	for f := range numFormats {
		cost := func(p *picture.Picture) float64 {
			size := len(write(p, f))
			return testing.AllocsPerRun(3, func() { render(p, newEncoder(f, p.Counted, size), nil) })
		}
		some, many := cost(large(100, 10, 10)), cost(large(1000, 100, 10))
		lines := strings.Count(string(write(large(1000, 100, 10), plain)), "\n")
		if many > 11*some || many > float64(lines)/4 {
			t.Errorf("format %d: %v allocations for a site, %v for one ten times as large, of %d lines", f, some, many, lines)
		}
	}
}

// FuzzChoose: whatever a client says that it takes, it gets one of the formats, at once.
func FuzzChoose(f *testing.F) {
	for _, s := range []string{"", "*/*;q=0.5", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "gzip;q=0, *", "a;b;c=;q=,;,", "text/plain;q=\"0.5\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if got := choose(accept); got >= numFormats {
			t.Errorf("format %d", got)
		}
	})
}
