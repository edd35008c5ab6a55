package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
)

const (
	maxHead = 64 << 10 // of a response to a probe, those of 1xx included
	maxBody = 64 << 10
	max1xx  = 8
)

func addrPort(a netip.AddrPort, port int) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), uint16(port))
}

func checkHTTP(ctx context.Context, to place, h2c bool, h *config.Health, field string) (said, wish string, err error) {
	c, err := dial(ctx, to)
	if err != nil {
		return "", "", err
	}
	defer c.Close() //nolint:errcheck // all that counts has been read
	resp, err := ask(ctx, c, h2c, h.Method, h.Path, h.Host, h.Headers)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close() //nolint:errcheck // likewise
	if field != "" {
		wish = resp.Header.Get(field)
	}
	said = clean(resp.Status)
	if !slices.ContainsFunc(h.Status, func(r config.StatusRange) bool { return r.From <= resp.StatusCode && resp.StatusCode <= r.To }) {
		return said, wish, fmt.Errorf("it answered %s", said)
	}
	if h.Body != "" || h.Pattern != nil {
		if err := match(io.LimitReader(resp.Body, maxBody), h); err != nil {
			return said, wish, fmt.Errorf("it answered %s, %w", said, err)
		}
	}
	return said, wish, nil
}

// ask sends a request and reads the head of its final response. Of what comes no more is read than limits allow.
func ask(ctx context.Context, c *conn, h2c bool, method, path, host string, fields []config.NameValue) (*http.Response, error) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, fmt.Errorf("the path is none: %w", err)
	}
	req := &http.Request{Method: method, URL: u, Host: host, ProtoMajor: 1, ProtoMinor: 1, Close: true, Header: http.Header{"User-Agent": {"weir-check"}}}
	for _, f := range fields {
		if strings.EqualFold(f.Name, "host") {
			req.Host = f.Value
		}
		req.Header.Set(f.Name, f.Value)
	}
	if h2c {
		return askH2C(ctx, c, req)
	}
	if err := req.Write(c); err != nil {
		return nil, err
	}
	in := bufio.NewReader(io.LimitReader(c, maxHead+maxBody))
	for range max1xx {
		resp, err := http.ReadResponse(in, req)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("it closed the connection without an answer")
		case err != nil:
			return nil, err
		case resp.StatusCode < 100 || resp.StatusCode > 599:
			return nil, fmt.Errorf("it answered with the status %d, which is none", resp.StatusCode)
		case resp.StatusCode >= 200 || resp.StatusCode == 101:
			return resp, nil
		}
	}
	return nil, errors.New("it sent nothing but informational responses")
}

var errNoMatch = errors.New("and its body is not the one expected")

// match reads body until it has what is expected.
func match(body io.Reader, h *config.Health) error {
	if h.Pattern != nil {
		b, err := io.ReadAll(body)
		if h.Pattern.Match(b) {
			return nil // also when it did not end well
		}
		if err != nil {
			return fmt.Errorf("and its body broke off: %w", err)
		}
		return errNoMatch
	}
	want := []byte(h.Body)
	var b []byte
	piece := make([]byte, 4096)
	for {
		n, err := body.Read(piece)
		b = append(b, piece[:n]...)
		if bytes.Contains(b, want) {
			return nil
		}
		b = b[max(0, len(b)-len(want)):]
		switch {
		case errors.Is(err, io.EOF):
			return errNoMatch
		case err != nil:
			return fmt.Errorf("and its body broke off: %w", err)
		}
	}
}

func checkTLS(ctx context.Context, to place, name string) (string, error) {
	if to.link.Secured() { // as requests do it
		c, err := dial(ctx, to)
		if err != nil {
			return "", err
		}
		defer c.Close() //nolint:errcheck // all that counts has been said
		t, ok := c.Conn.(*tls.Conn)
		if !ok {
			return "", errors.New("TLS was not begun")
		}
		return tls.VersionName(t.ConnectionState().Version), nil
	}
	c, err := dial(ctx, to)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // all that counts has been said
	// Nothing is sent that would have to be kept from a stranger: without a name, what is checked is that it shakes hands.
	t := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: name == ""})
	if err := t.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("TLS: %w", err)
	}
	return tls.VersionName(t.ConnectionState().Version), nil
}

// maxWord is how much is read of what an agent says.
const maxWord = 128

// Ask asks an app's endpoint how much traffic it wants, for a.Timeout at most.
func Ask(ctx context.Context, t Target, a *config.Agent) (health.Wish, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	word, err := askWord(ctx, t, a)
	if err != nil {
		return health.Wish{}, errors.New(clean(words(err, a.Timeout)))
	}
	w, err := health.ParseWish(word)
	if err != nil {
		return w, fmt.Errorf("it said %q, which is %w", clean(string(word)), err)
	}
	return w, nil
}

func askWord(ctx context.Context, t Target, a *config.Agent) ([]byte, error) {
	to, err := t.at(a.Port)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, to)
	if err != nil {
		return nil, err
	}
	defer c.Close() //nolint:errcheck // all that counts has been read
	from := io.Reader(c)
	if a.Path != "" {
		resp, err := ask(ctx, c, t.H2C && a.Port == 0, http.MethodGet, a.Path, "localhost", nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("it answered %s", clean(resp.Status))
		}
		defer resp.Body.Close() //nolint:errcheck // likewise
		from = resp.Body
	}
	word := make([]byte, 0, maxWord)
	for len(word) < cap(word) {
		n, err := from.Read(word[len(word):cap(word)])
		word = word[:len(word)+n]
		if i := bytes.IndexByte(word, '\n'); i >= 0 {
			return word[:i], nil
		}
		if errors.Is(err, io.EOF) {
			return word, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return word, nil
}
