package journal

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ReadStory reads what AppendStory wrote, or a line of the access log in JSON. Words that it does not know are left out: they may be
// of a later version's.
func ReadStory(text []byte) (*Story, error) {
	var in struct {
		Time                                                            time.Time
		Client, Method, Host, Target, Protocol, Scheme, ID, Referer     string
		Agent                                                           string `json:"user_agent"`
		Listen, Name, Site, Route, Pool, Server, Cause, Detail, Session string
		Cache, Hedge                                                    string
		Why                                                             string `json:"cache_why"`
		Status, Retries, Includes                                       int
		Broken                                                          int `json:"includes_failed"`
		Out, In                                                         int64
		Slow, Failed                                                    bool
		Total                                                           float64            `json:"total_ms"`
		Queue                                                           float64            `json:"queue_ms"`
		Connect                                                         float64            `json:"connect_ms"`
		FirstByte                                                       float64            `json:"first_byte_ms"`
		Stages                                                          map[string]float64 `json:"stages_ms"`
		Parts                                                           []struct {
			Target, Cache string
			Status        int
			Took          float64 `json:"ms"`
		}
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("reading a story: %w", err)
	}
	s := &Story{Line: Line{Time: in.Time, Scheme: in.Scheme, Method: []byte(in.Method), Target: []byte(in.Target), Minor: NoVersion, Status: in.Status, Out: in.Out, In: in.In,
		Host: []byte(in.Host), Referer: []byte(in.Referer), UserAgent: []byte(in.Agent), ID: []byte(in.ID), Listen: in.Listen, Name: in.Name,
		Site: in.Site, Route: in.Route, Pool: in.Pool, Server: in.Server, Detail: in.Detail, Retries: in.Retries, Includes: in.Includes, Failed: in.Broken, Why: in.Why,
		Slow: in.Slow, Failure: in.Failed, Total: millis(in.Total), Queue: millis(in.Queue), Connect: millis(in.Connect), FirstByte: millis(in.FirstByte)}}
	l := &s.Line
	l.Client, _ = netip.ParseAddr(in.Client) // "unix" is none
	switch in.Protocol {
	case "HTTP/1.0":
		l.Minor = 0
	case "HTTP/1.1":
		l.Minor = 1
	}
	l.Cause = Cause(number(causes[:], in.Cause))
	l.Cache = Cache(number(cacheWords[:], in.Cache))
	l.Session = Session(number(sessionWords[:], in.Session))
	l.Hedge = Hedge(number(hedgeWords[:], in.Hedge))
	for _, p := range in.Parts[:min(len(in.Parts), MaxParts)] {
		l.Parts = append(l.Parts, Part{Target: []byte(p.Target), Status: p.Status, Cache: Cache(number(cacheWords[:], p.Cache)), Took: millis(p.Took)})
	}
	for i, word := range stageWords {
		s.At[i] = -1
		if ms, ok := in.Stages[word]; ok {
			s.At[i] = millis(ms)
		}
	}
	return s, nil
}

// number is a word's place among others, 0 if it is none of them.
func number(words []string, word string) int { return max(slices.Index(words, word), 0) }

func millis(ms float64) time.Duration {
	return time.Duration(min(max(ms, 0), 1e12)*1000) * time.Microsecond
}
