package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
)

// answerSize is how much of an answer is read: its first words, for people.
const answerSize = 4 << 10

// Signature is the field with the signature, Delivery the one with the message's ID: the same for each try.
const (
	Signature = "X-Weir-Signature"
	Delivery  = "X-Weir-Delivery"
)

// Sign returns the signature of a body: t=TIME,v1=HEX, where HEX is an HMAC-SHA-256 of the time (Unix seconds), a dot and the body.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, t+".") //nolint:errcheck // a hash takes everything
	mac.Write(body)            //nolint:errcheck // likewise
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// hook posts JSON somewhere.
type hook struct {
	client *http.Client
	spec   config.Webhook
	body   func(*alert.Message) any
	now    func() time.Time
}

func newWebhook(spec config.Webhook) *hook {
	return &hook{client: client(), spec: spec, body: payload, now: time.Now}
}

func newSlack(address string) *hook {
	return &hook{client: client(), spec: config.Webhook{URL: address}, body: slack, now: time.Now}
}

// client follows no redirects: an address that has moved is to be written down anew, and a signature is not for others.
func client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// payload is a message as webhooks get it.
func payload(m *alert.Message) any {
	return struct {
		*alert.Message
		Title string `json:"title"`
		Text  string `json:"text"`
	}{m, m.Title(), m.Text()}
}

func (h *hook) send(ctx context.Context, m *alert.Message) error {
	body, err := json.Marshal(h.body(m))
	if err != nil {
		return never{fmt.Errorf("writing the message: %w", err)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.spec.URL, bytes.NewReader(body))
	if err != nil {
		return never{errors.New("the address cannot be used")}
	}
	for _, f := range h.spec.Fields {
		req.Header.Set(f.Name, f.Value)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "weir")
	req.Header.Set(Delivery, m.ID)
	if h.spec.Secret != "" {
		req.Header.Set(Signature, Sign(h.spec.Secret, h.now(), body))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()                                      //nolint:errcheck // what it says is read
	said, _ := io.ReadAll(io.LimitReader(resp.Body, answerSize)) // its status is what counts
	return judge(resp, said)
}

// judge says what an answer means.
func judge(resp *http.Response, said []byte) error {
	err := fmt.Errorf("it answered %d", resp.StatusCode)
	if words := bytes.TrimSpace(said); len(words) > 0 {
		err = fmt.Errorf("%w: %.100q", err, words)
	}
	switch c := resp.StatusCode; {
	case c/100 == 2:
		return nil
	case c/100 == 3:
		return never{fmt.Errorf("it answered %d, a redirect, which is not followed: write the address where it is now", c)}
	case c == http.StatusTooManyRequests || c == http.StatusServiceUnavailable:
		if n, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && n > 0 {
			return later{err, min(time.Duration(n)*time.Second, longWait)}
		}
		return err
	case c/100 == 4 && c != http.StatusRequestTimeout:
		return never{err}
	}
	return err
}

// withoutURL takes the address out of an error: there may be a secret in it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it did not answer in time")
	}
	return err
}

// slack is a message as Slack's incoming webhooks take it.
func slack(m *alert.Message) any {
	return map[string]any{"text": "*" + escape(m.Title()) + "*\n" + escape(m.Text()), "unfurl_links": false, "unfurl_media": false}
}

// escape keeps what applications and clients wrote from being read as links and calls (<!channel>).
func escape(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
