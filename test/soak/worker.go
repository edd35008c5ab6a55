package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxBody bounds what the small app takes.
const maxBody = 1 << 20

// padding is what follows an id in the answer to a GET, so that a page that was cut, or put together of two, shows.
var padding = strings.Repeat("all that was sent is here\n", 60)

// page is the answer to a GET.
func page(id string) string { return id + "\n" + padding }

// app is the small app that stands beside Django. executed is told of each POST before it is answered.
func app(executed func(id string) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /g/{id}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page(r.PathValue("id"))) })
	mux.HandleFunc("POST /p/{id}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return // it did not come whole: the POST has not been executed
		}
		if err := executed(r.PathValue("id")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	var mu sync.Mutex
	var held [][]byte
	mux.HandleFunc("GET /grow", func(w http.ResponseWriter, r *http.Request) {
		mb, err := strconv.Atoi(r.URL.Query().Get("mb"))
		if err != nil || mb < 0 || mb > 1024 {
			http.Error(w, "mb: 0 to 1024", http.StatusBadRequest)
			return
		}
		b := make([]byte, mb<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		mu.Lock()
		held = append(held, b)
		mu.Unlock()
		fmt.Fprintf(w, "%d MiB more\n", mb)
	})
	return mux
}

// runWorker serves the small app on $SOCKET until it is told to stop. Each POST that it executes is a line in the book, which all
// workers write: a line goes out in one write, so lines do not mix.
func runWorker(book string) error {
	path := os.Getenv("SOCKET")
	if path == "" {
		return errors.New("$SOCKET says where to listen")
	}
	f, err := os.OpenFile(book, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: app(func(id string) error {
		_, err := f.WriteString(id + "\n")
		return err
	})}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stopped <- server.Shutdown(limit)
	}()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
