package packed

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

func asks(encoding ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, e := range encoding {
		r.Header.Add("Accept-Encoding", e)
	}
	return r
}

func TestAccepted(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br, gzip": true, "deflate": false, "*": true, "identity": false, "gzip;q=0": false, "gzip; q=0.5": true,
		"*, gzip;q=0": false, "gzip;q=0, *": false, "gzip;q=x": false, "x-gzip": true, "*;q=0": false, "br;q=1, *;q=0.1": true,
		strings.Repeat("x, ", 1000) + "gzip": false,
	} {
		if got := Accepted(asks(in)); got != want {
			t.Errorf("%.40q: %v", in, got)
		}
	}
	if !Accepted(asks("br", "gzip")) {
		t.Error("of two fields only one is read")
	}
}

// FuzzAccepted: whatever a client says, it gets an answer that it can read, at once.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"", "gzip", "gzip;q=0, *", "a;b;c=;q=,;,", "*;q=NaN", strings.Repeat(",", 3000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if Accepted(asks(accept)) && !strings.ContainsAny(accept, "*pP") {
			t.Errorf("%q takes gzip", accept)
		}
	})
}

// TestPieces: the same pieces can stand in any answer, and each can be read as soon as it has come.
func TestPieces(t *testing.T) {
	texts := []string{strings.Repeat("first ", 2000), "second", strings.Repeat("first ", 2000), ""}
	var all [][]byte
	for _, text := range texts {
		all = append(all, Piece([]byte(text)))
	}
	for begin := range texts {
		r, w := io.Pipe()
		go func() {
			w.Write(Begin) //nolint:errcheck // a test's
			for _, p := range all[begin:] {
				w.Write(p) //nolint:errcheck // a test's
			}
		}()
		z, err := gzip.NewReader(iotest.OneByteReader(r))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts[begin:] {
			got := make([]byte, len(text))
			if _, err := io.ReadFull(z, got); err != nil || string(got) != text {
				t.Fatalf("from piece %d on: %.20q, %v", begin, got, err)
			}
		}
		r.Close()
	}
}

// TestEnd: pieces with an end are a whole file of gzip, also for who looks at its checksum.
func TestEnd(t *testing.T) {
	texts := []string{"", strings.Repeat("first ", 20000), "second", "", strings.Repeat("\x00", 70000), "x"}
	for n := range len(texts) + 1 {
		var sum Sum
		file := bytes.Clone(Begin)
		for _, text := range texts[:n] {
			file = append(file, Piece([]byte(text))...)
			sum = sum.Then(SumOf([]byte(text)))
		}
		all := strings.Join(texts[:n], "")
		if sum != SumOf([]byte(all)) {
			t.Errorf("of %d texts the sum is %x, want %x", n, sum, SumOf([]byte(all)))
		}
		z, err := gzip.NewReader(bytes.NewReader(append(file, sum.End()...)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != all {
			t.Errorf("%d texts: %d bytes of %d, %v", n, len(got), len(all), err)
		}
	}
}

// FuzzSum: however a text is divided, it has the same sum.
func FuzzSum(f *testing.F) {
	f.Add([]byte("a text that is divided"), 7)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		at = min(max(at, 0), len(text))
		if got, want := SumOf(text[:at]).Then(SumOf(text[at:])), SumOf(text); got != want {
			t.Errorf("%q divided at %d: %x, want %x", text, at, got, want)
		}
	})
}

// TestAnswers: of one picture each is made and compressed once.
func TestAnswers(t *testing.T) {
	var a Answers
	p, q := &picture.Picture{At: time.Unix(2, 0)}, &picture.Picture{At: time.Unix(1, 0)} // a clock that was set back
	made := 0
	var mu sync.Mutex
	if _, err := (&Answers{}).Get(nil, "a", func() ([]byte, error) { return nil, nil }); err != nil { // before there is a picture
		t.Error(err)
	}
	get := func(p *picture.Picture, name string) *Answer {
		t.Helper()
		answer, err := a.Get(p, name, func() ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			made++
			return []byte(fmt.Sprint(made, name, strings.Repeat(" and so on", 1000))), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	var many sync.WaitGroup
	for range 20 {
		many.Go(func() {
			w := httptest.NewRecorder()
			get(p, "a").Serve(w, asks("gzip"), "text/plain")
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := io.ReadAll(z); err != nil || !strings.HasPrefix(string(text), "1a and") || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") == "" {
				t.Errorf("%.20q, %v, %v", text, err, w.Header())
			}
		})
	}
	many.Wait()
	if w := httptest.NewRecorder(); made == 1 {
		get(p, "a").Serve(w, asks(), "text/plain")
		if w.Header().Get("Content-Encoding") != "" || !strings.HasPrefix(w.Body.String(), "1a and") {
			t.Errorf("%v %.20s", w.Header(), w.Body)
		}
	}
	if get(p, "b"); made != 2 {
		t.Errorf("%d were made", made)
	}
	if got := get(q, "a"); made != 3 || !strings.HasPrefix(string(got.Text), "3a") {
		t.Errorf("of another picture: %.20s", got.Text)
	}
	for i := range 2 * maxKept {
		get(q, fmt.Sprint(i))
	}
	if len(a.all) > maxKept {
		t.Errorf("%d are kept", len(a.all))
	}
	if _, err := a.Get(p, "wrong", func() ([]byte, error) { return nil, errors.New("no") }); err == nil {
		t.Error("no error")
	}
}

func TestHandler(t *testing.T) {
	long := bytes.Repeat([]byte("long "), 1000)
	for _, c := range []struct {
		what, accept string
		do           http.HandlerFunc
		status       int
		packed       bool
		body         string
	}{
		{"long", "gzip", func(w http.ResponseWriter, _ *http.Request) { w.Write(long); w.Write(long) }, 200, true, string(long) + string(long)},
		{"an error", "gzip", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(422); w.Write(long) }, 422, true, string(long)},
		{"short", "gzip", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Write(long[:10]) }, 201, false, string(long[:10])},
		{"who does not want", "", func(w http.ResponseWriter, _ *http.Request) { w.Write(long) }, 200, false, string(long)},
		{"nothing", "gzip", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, false, ""},
		{"compressed already", "gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			w.Write(long)
		}, 200, false, string(long)},
	} {
		w := httptest.NewRecorder()
		Handler(c.do)(w, asks(c.accept))
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.packed || w.Code != c.status || w.Header().Get("Vary") == "" {
			t.Errorf("%s: %d %v", c.what, w.Code, w.Header())
		}
		body := w.Body.String()
		if c.packed {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		if body != c.body {
			t.Errorf("%s: %.20q", c.what, body)
		}
	}
}

// BenchmarkPiece is what it costs to compress a picture for all who listen.
func BenchmarkPiece(b *testing.B) {
	var text []byte
	for i := range 3000 {
		text = fmt.Appendf(text, `{"name":"10.0.%d.%d:8080","state":"ready","requests":%d,"p50":%.4f,"p95":%.4f,"check":"HTTP 200 in %d ms"},`, i/250, i%250, i*77, float64(i%13)/7, float64(i%17)/3, i%9)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		b.ReportMetric(float64(len(Piece(text)))/float64(len(text)), "ratio")
	}
}
