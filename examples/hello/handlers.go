package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	maxEcho = 1 << 20   // bytes of a body that /echo repeats
	maxBig  = 1 << 34   // bytes that /big sends
	maxWait = time.Hour // for /slow
)

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", hello)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("/big", big)
	mux.HandleFunc("/slow", slow)
	mux.HandleFunc("/status", status)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/echo/", echo)
	mux.HandleFunc("/sink", sink)
	mux.HandleFunc("/ticks", ticks)
	mux.HandleFunc("GET /ws", websocket)
	mux.HandleFunc("/grow", grow)
	return mux
}

// hello names the process, so that a test can see which worker answered.
func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "hello from process %d\n", os.Getpid())
}

// big sends ?bytes= bytes; their length is announced unless ?chunked is given.
func big(w http.ResponseWriter, r *http.Request) {
	left, ok := number(w, r, "bytes", 1<<20, maxBig)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if !r.URL.Query().Has("chunked") {
		w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	for left > 0 {
		n, err := w.Write(pattern[:min(left, int64(len(pattern)))])
		if err != nil {
			return // the client has gone
		}
		left -= int64(n)
	}
}

// pattern is what large bodies are made of: lines, so that a shifted or lost piece shows.
var pattern = bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n"), 1024)

// slow answers after ?ms= milliseconds, or not at all when the client leaves first.
func slow(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, r, "ms", 1000, maxWait.Milliseconds())
	if ok && sleep(r, time.Duration(ms)*time.Millisecond) {
		fmt.Fprintf(w, "waited %d ms\n", ms)
	}
}

// status answers with the status ?code=.
func status(w http.ResponseWriter, r *http.Request) {
	code, ok := number(w, r, "code", 200, 599)
	if !ok {
		return
	}
	if code < 200 {
		http.Error(w, "code: a final status, 200 to 599", http.StatusBadRequest)
		return
	}
	w.WriteHeader(int(code))
}

// mirror is a request as this program saw it.
type mirror struct {
	Method  string              `json:"method"`
	Target  string              `json:"target"` // as it stood in the request line
	Path    string              `json:"path"`   // decoded
	Host    string              `json:"host"`
	Proto   string              `json:"proto"`
	Fields  map[string][]string `json:"fields"`
	Trailer map[string][]string `json:"trailer,omitempty"`
	Length  int64               `json:"length"` // as announced; -1 when not
	Body    string              `json:"body"`
	Worker  int                 `json:"worker"` // the process
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEcho))
	if err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.Encode(mirror{ // an error here is the client's leaving
		Method: r.Method, Target: r.RequestURI, Path: r.URL.Path, Host: r.Host, Proto: r.Proto,
		Fields: r.Header, Trailer: r.Trailer, Length: r.ContentLength, Body: string(body), Worker: os.Getpid(),
	})
}

// sink reads a body of any size; it answers with its length, and with its SHA-256 when ?sum is given.
func sink(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	into := io.Discard
	if r.URL.Query().Has("sum") {
		into = sum
	}
	n, err := io.Copy(into, r.Body)
	if err != nil {
		http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%d bytes", n)
	if into != io.Discard {
		fmt.Fprintf(w, " %s", hex.EncodeToString(sum.Sum(nil)))
	}
	fmt.Fprintln(w)
}

// ticks sends ?n= server-sent events, ?ms= milliseconds apart.
func ticks(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "n", 5, 1<<20)
	if !ok {
		return
	}
	ms, ok := number(w, r, "ms", 100, maxWait.Milliseconds())
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	for i := range n {
		if i > 0 && !sleep(r, time.Duration(ms)*time.Millisecond) {
			return
		}
		fmt.Fprintf(w, "id: %d\ndata: tick %d\n\n", i+1, i+1)
		if out.Flush() != nil {
			return
		}
	}
}

// hoard is what /grow has been asked for.
var hoard struct {
	sync.Mutex
	held [][]byte
}

// grow takes ?mb= MiB of memory and never gives them back, as an application with a leak does.
func grow(w http.ResponseWriter, r *http.Request) {
	mb, ok := number(w, r, "mb", 1, 1<<12)
	if !ok {
		return
	}
	b := bytes.Repeat([]byte{1}, int(mb)<<20)
	hoard.Lock()
	defer hoard.Unlock()
	hoard.held = append(hoard.held, b)
	fmt.Fprintf(w, "process %d holds %d pieces\n", os.Getpid(), len(hoard.held))
}

// sleep waits, and reports false when the client left before the time was over.
func sleep(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// number reads a parameter of 0 to most; it has answered with 400 when it reports false.
func number(w http.ResponseWriter, r *http.Request, name string, otherwise, most int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		http.Error(w, fmt.Sprintf("%s=%q: give a number of 0 to %d", name, text, most), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}
