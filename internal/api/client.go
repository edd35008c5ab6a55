package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// answerSize bounds an answer, requestSize a request's body: neither peer is trusted with our memory.
	answerSize  = 64 << 20
	requestSize = 256 << 20
)

// KeeperSocket is where the keeper of a run directory answers, EdgeSocket where its edge does.
func KeeperSocket(runDir string) string { return filepath.Join(runDir, "weir.sock") }

// EdgeSocket is where the edge of a run directory answers that accepts: a link to its own socket.
func EdgeSocket(runDir string) string { return filepath.Join(runDir, "edge.sock") }

// DeskSocket is where the desk of a run directory answers: its whole API, for who may use the socket, without a token.
func DeskSocket(runDir string) string { return filepath.Join(runDir, "desk.sock") }

// LastWord is the file in which an edge that stops, and that none follows, leaves its Counters.
func LastWord(runDir string) string { return filepath.Join(runDir, "edge.word") }

// OwnEdgeSocket is where the n-th edge of a run directory answers.
func OwnEdgeSocket(runDir string, n int) string {
	return filepath.Join(runDir, "edge-"+strconv.Itoa(n)+".sock")
}

// DefaultRunDir is the run directory when nobody names one: WEIR_RUN_DIR, /run/weir for root, else
// $XDG_RUNTIME_DIR/weir, and a directory of the user's own below the temporary one where there is not even that.
func DefaultRunDir(env func(string) (string, bool)) string {
	if dir, ok := env("WEIR_RUN_DIR"); ok && dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/run/weir"
	}
	if dir, ok := env("XDG_RUNTIME_DIR"); ok && dir != "" {
		return filepath.Join(dir, "weir")
	}
	return filepath.Join(os.TempDir(), "weir-"+strconv.Itoa(os.Geteuid()))
}

// Client speaks to the keeper, the edge or the desk over its Unix socket, or to a desk elsewhere (NewRemote). Any goroutine may use it.
type Client struct {
	socket string // empty: base says where
	base   string // what comes before a path
	token  string
	http   *http.Client
}

// NewClient returns a client of the process that answers on socket. It connects when it is first used.
func NewClient(socket string) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:    2,
		IdleConnTimeout: 30 * time.Second,
		// A call is rare, and a kept connection to an edge that has been replaced would fail the next one.
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	return &Client{socket: socket, base: "http://weir", http: &http.Client{Transport: t}}
}

// where is who is called.
func (c *Client) where() string {
	if c.socket == "" {
		return c.base
	}
	return c.socket
}

// Close lets go of what the client holds.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Failed is a call that was answered with an error.
type Failed struct {
	Status int
	Text   string // the answer's Error
}

func (e *Failed) Error() string { return e.Text }

// Unreachable is a call that nobody answered.
type Unreachable struct {
	Socket string
	Err    error
}

func (e *Unreachable) Error() string {
	dir := filepath.Dir(e.Socket)
	switch {
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, syscall.ECONNREFUSED), errors.Is(e.Err, syscall.ENOTDIR):
		return "no weir answers in " + dir + ": is it running, and with this run directory? (--run-dir DIR names another)"
	case errors.Is(e.Err, fs.ErrPermission):
		return "no permission to use " + e.Socket + ": run this command as the user that runs weir"
	case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, os.ErrDeadlineExceeded):
		return "no answer in time from " + e.Socket
	}
	return "calling " + e.Socket + ": " + e.Err.Error()
}

func (e *Unreachable) Unwrap() error { return e.Err }

// Get calls path and decodes the answer into out (which may be nil). The error is a *Failed, an *Unreachable, or
// says that the answer made no sense.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// Post calls path with in as JSON, and decodes the answer into out (which may be nil). Errors as with Get.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("calling %s: %w", path, err)
	}
	return c.call(ctx, http.MethodPost, path, body, out)
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := c.request(ctx, method, path)
	if err != nil {
		return fmt.Errorf("calling %s: %w", path, err)
	}
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(cause(err))
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end below
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerSize+1))
	if err != nil {
		return c.unreachable(err)
	}
	if len(answer) > answerSize {
		return fmt.Errorf("calling %s on %s: the answer is longer than %d bytes", path, c.where(), answerSize)
	}
	if resp.StatusCode/100 != 2 {
		return failed(resp.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("calling %s on %s: reading the answer: %w", path, c.where(), err)
	}
	return nil
}

// Stream calls path and returns the answer's body as it comes, which the caller closes, or whose context it ends. Errors as with Get.
func (c *Client) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := c.request(ctx, http.MethodGet, path)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(cause(err))
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close() //nolint:errcheck // an error is told already
	answer, err := io.ReadAll(io.LimitReader(resp.Body, reportErrorSize))
	if err != nil {
		return nil, c.unreachable(err)
	}
	return nil, failed(resp.StatusCode, answer)
}

// cause takes off the method and the made-up URL that net/http puts before an error.
func cause(err error) error {
	if u := errors.Unwrap(err); u != nil {
		return u
	}
	return err
}

func failed(status int, answer []byte) error {
	var e Error
	if err := json.Unmarshal(answer, &e); err != nil || e.Error == "" {
		e.Error = strings.TrimSpace(fmt.Sprintf("answered %d %s", status, http.StatusText(status)))
	}
	return &Failed{status, e.Error}
}

// Answer writes v as the JSON answer of a call.
func Answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only a programming error of ours makes a value that JSON cannot hold
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) //nolint:errcheck // the caller is gone, nobody is left to tell
}

// AnswerError answers a call with an Error.
func AnswerError(w http.ResponseWriter, status int, err error) {
	Answer(w, status, Error{err.Error()})
}

// ReadRequest decodes the body of a call into v; an empty body leaves v as it is.
func ReadRequest(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestSize))
	if err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	return nil
}
