package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewRemote returns a client of the status page at a URL, such as https://web1.example.com:9443, with a token if that is not empty. It connects
// when it is first used. A token goes over plain HTTP to this machine alone, and nowhere that an answer points to. The error is for people.
func NewRemote(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is no address of a status page: write one such as https://web1.example.com:9443", base)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the address of the status page has more than a host and a port: a token belongs into WEIR_TOKEN")
	case u.Scheme == "http" && token != "" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("the token would be readable on its way to %s: write https://%s", u.Host, u.Host)
	}
	for u.Path != "" && u.Path[len(u.Path)-1] == '/' {
		u.Path = u.Path[:len(u.Path)-1]
	}
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		MaxIdleConns:          2,
		IdleConnTimeout:       30 * time.Second,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: u.String(), token: token, http: &http.Client{Transport: t, CheckRedirect: stay}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// request makes a call's request.
func (c *Client) request(ctx context.Context, method, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err == nil && c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, err
}

// NoAnswer is a call over the network that nobody answered.
type NoAnswer struct {
	URL string
	Err error
}

func (e *NoAnswer) Error() string {
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return "no answer in time from " + e.URL
	}
	return "no answer from " + e.URL + ": " + e.Err.Error()
}

func (e *NoAnswer) Unwrap() error { return e.Err }

func (c *Client) unreachable(err error) error {
	if c.socket == "" {
		return &NoAnswer{c.base, err}
	}
	return &Unreachable{c.socket, err}
}
