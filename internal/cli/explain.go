package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/route"
)

// question is the request that weir explain is asked about.
type question struct {
	method, url string
	headers     []string // "Name: value"
	client      string
	answer      answer
}

func explainCommand() *cobra.Command {
	var q question
	var live bool
	c := &cobra.Command{
		Use:   "explain FILE URL",
		Short: "Say which route a request would take, and why",
		Long: "Say what weir would do with a request, before there is one: the site, every route that is tried and why it\n" +
			"does or does not match, the access rule, the limits, the pool or other answer, and what the cache does: whether\n" +
			"the request is looked up, under which key, and for how long responses are kept. With --status or\n" +
			"--response-header it also says whether such a response would be stored, for how long, and which rule decides.\n" +
			"With --live it asks the weir that runs what its cache has for the request now; FILE may then be left out.\n" +
			"Nothing is sent or started.",
		Example: "  weir explain site.yaml https://www.example.com/login -X POST -H 'Cookie: beta=1' --client 192.0.2.7\n" +
			"  weir explain site.yaml https://www.example.com/news --status 200 --response-header 'Cache-Control: max-age=60'\n" +
			"  weir explain --live https://www.example.com/news",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 2 || live && len(args) == 1 {
				return nil
			}
			return errors.New("a configuration file and a URL are needed: write weir explain FILE URL")
		},
		SilenceUsage:      true,
		ValidArgsFunction: completeFile,
	}
	c.Flags().StringVarP(&q.method, "request", "X", "GET", "the method")
	c.Flags().StringArrayVarP(&q.headers, "header", "H", nil, "a header line, as 'Name: value'; may be given again")
	c.Flags().StringVar(&q.client, "client", "127.0.0.1", "the address that the request comes from")
	c.Flags().IntVar(&q.answer.status, "status", 0, "the status of a response to judge (200 with --response-header alone)")
	c.Flags().StringArrayVar(&q.answer.headers, "response-header", nil, "a header line of that response, as 'Name: value'; may be given again")
	c.Flags().BoolVar(&live, "live", false, "what the cache of the weir that runs has for it now")
	runDir := runDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		q.url = args[len(args)-1]
		var text string
		if len(args) == 2 {
			cfg, wrong, err := configOf(args[0])
			if err != nil {
				return err
			}
			for _, e := range wrong {
				c.PrintErrln(e)
			}
			if text, err = explain(cfg, q); err != nil {
				return err
			}
		}
		if live {
			now, err := lookLive(c.Context(), *runDir, &q)
			if err != nil {
				return err
			}
			text += now
		}
		_, err := c.OutOrStdout().Write([]byte(text))
		return err
	}
	return c
}

// configOf reads a configuration to be explained, and what is wrong in the files that it includes.
func configOf(path string) (*config.Config, config.Errors, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var wrong *fs.PathError
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return nil, nil, fmt.Errorf("%s: the file cannot be read: %w", path, err)
	}
	// Not strict: a file can be explained on a machine that has none of its apps. What it warns of, weir
	// check says.
	main, err := config.Open(path, text, 1, config.Options{Env: os.LookupEnv})
	if err != nil {
		return nil, nil, err
	}
	joined, wrong, err := main.Read()
	if err != nil {
		return nil, nil, err
	}
	return joined.Config, wrong, nil
}

// explain answers a question about a configuration.
func explain(cfg *config.Config, q question) (string, error) {
	table, err := route.New(cfg)
	if err != nil {
		return "", err
	}
	var x exchange.Exchange
	head, err := q.head(&x)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s from %s\n", q.method, q.url, q.client)
	limits := http1.Limits{Line: cfg.Limits.RequestLine, Fields: cfg.Limits.Fields, Head: cfg.Limits.Head}
	n, wrong := http1.ParseRequest(head, &x.Req, &limits)
	switch {
	case wrong != nil:
		fmt.Fprintf(&b, "refused  %d: %s; no route is looked at\n", wrong.Status, wrong.Reason)
		return b.String(), nil
	case n != len(head):
		return "", errors.New("the header lines hold more than a head: a line may not be empty")
	}
	e := &explanation{w: &b, cfg: cfg, x: &x}
	if q.answer.given() {
		if e.resp, err = q.answer.response(); err != nil {
			return "", err
		}
	}
	x.Req.Upgrade = x.Req.Upgrade && x.Req.Body == message.NoBody && message.EqualFold(x.Req.Fields.Get(message.Upgrade), "websocket")
	if err := e.write(table.Explain(&x)); err != nil {
		return "", err
	}
	return b.String(), nil
}

// head writes the head that the client would send, and notes in the exchange what a head does not say.
func (q *question) head(x *exchange.Exchange) (head []byte, err error) {
	scheme, host, target := split(q.url)
	if q.url == "" || strings.HasSuffix(q.url, "://") || scheme != "http" && scheme != "https" || strings.ContainsAny(target, " \r\n") {
		return nil, fmt.Errorf("%q is no URL that weir serves: write it as https://www.example.com/path?query", q.url)
	}
	if x.Client, err = netip.ParseAddr(q.client); err != nil {
		return nil, fmt.Errorf("client %q is no address: write it as 192.0.2.7", q.client)
	}
	x.Scheme = scheme
	var fields bytes.Buffer
	for _, h := range q.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.ContainsAny(h, "\r\n") {
			return nil, fmt.Errorf("header %q: write it as 'Name: value'", h)
		}
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, "Host") {
			host = value
			continue
		}
		fmt.Fprintf(&fields, "%s: %s\r\n", name, value)
	}
	head = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", q.method, target, host, fields.Bytes())
	return head, nil
}

// split takes a URL apart without judging or changing its path, which is the parser's to do: net/url would clean up
// what a client can send.
func split(url string) (scheme, host, target string) {
	url, _, _ = strings.Cut(url, "#")
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || strings.ContainsAny(scheme, "/?") {
		scheme, rest = "http", url
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if host, target = rest[:end], rest[end:]; host == "" {
		host = "localhost"
	}
	// The name and password of a URL are no part of Host.
	host = host[strings.LastIndexByte(host, '@')+1:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return strings.ToLower(scheme), host, target
}
