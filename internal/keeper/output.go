package keeper

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
)

const (
	outputBatch = 500              // lines that are taken at a time
	outputIdle  = 15 * time.Second // after which an empty line says that all is well
	outputWrite = 10 * time.Second // for whoever listens to take what he is told
	maxStreams  = 20               // that listen at a time
)

// missed says in a stream of output how many lines were not read in time.
type missed struct {
	Missed uint64 `json:"missed"`
	Seq    uint64 `json:"seq"` // of the line that comes next
}

// serveOutput tells what workers print, one JSON object a line: from now on, or from since=NUMBER; with recent=N the last N lines, and
// then its end. Who reads too slowly misses lines, which is said; workers and weir wait for nobody. It ends with ends.
func (k *keeper) serveOutput(ends <-chan struct{}) http.HandlerFunc {
	room := make(chan struct{}, maxStreams)
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			api.AnswerError(w, http.StatusTooManyRequests, errors.New("too many listen to the workers' output already"))
			return
		}
		seq, recent := k.sink.Next(), false
		for name, to := range map[string]func(n uint64){
			"since":  func(n uint64) { seq = n },
			"recent": func(n uint64) { seq, recent = seq-min(seq, n), true },
		} {
			if text := r.URL.Query().Get(name); text != "" {
				n, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					api.AnswerError(w, http.StatusUnprocessableEntity, errors.New(name+" is "+strconv.Quote(text)+": write a number"))
					return
				}
				to(n)
			}
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		s := stream{sink: k.sink, ended: k.ended, out: http.NewResponseController(w), enc: json.NewEncoder(w), w: w, seq: seq}
		s.run(r, ends, recent)
	}
}

// stream is one who listens to output.
type stream struct {
	sink  *app.Sink
	ended <-chan struct{} // weir stops
	w     http.ResponseWriter
	out   *http.ResponseController
	enc   *json.Encoder
	seq   uint64
}

// run tells lines until nobody listens any more.
func (s *stream) run(r *http.Request, ends <-chan struct{}, recent bool) {
	idle := time.NewTicker(outputIdle)
	defer idle.Stop()
	if !s.flush() {
		return
	}
	for {
		lines, lost, news := s.sink.Said(s.seq, outputBatch)
		if !s.tell(lines, lost) || recent && len(lines) == 0 {
			return
		}
		if news == nil {
			select {
			case <-ends:
				return
			default:
				continue
			}
		}
		select {
		case <-news:
		case <-idle.C:
			if _, err := s.w.Write([]byte("\n")); err != nil || !s.flush() {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		case <-ends:
			return
		}
	}
}

// tell writes lines. False: nobody takes them.
func (s *stream) tell(lines []app.Said, lost uint64) bool {
	if len(lines) == 0 && lost == 0 {
		return true
	}
	if s.out.SetWriteDeadline(time.Now().Add(outputWrite)) != nil {
		return false
	}
	if lost > 0 {
		if s.seq += lost; s.enc.Encode(missed{lost, s.seq}) != nil {
			return false
		}
	}
	for i := range lines {
		if s.enc.Encode(&lines[i]) != nil {
			return false
		}
		s.seq = lines[i].Seq + 1
	}
	return s.flush()
}

func (s *stream) flush() bool {
	return s.out.SetWriteDeadline(time.Now().Add(outputWrite)) == nil && s.out.Flush() == nil
}
