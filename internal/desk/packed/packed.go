// Package packed answers with text that is compressed for those who take it. What is made of a picture is made and compressed once, however
// many ask for it. It is about gzip alone: everything that asks a status page knows that, and it costs little.
package packed

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/weirhq/weir/internal/picture"
)

const (
	least      = 1 << 10 // bytes: what is shorter fits into a packet as it is
	maxKept    = 64      // answers of one picture
	longestAsk = 2000    // bytes of Accept-Encoding that are looked at
)

// Accepted reports whether who asks takes gzip.
func Accepted(r *http.Request) bool { return Takes(r, "gzip") }

// Takes reports whether who asks takes a coding (RFC 9110, section 12.5.3; x-gzip is gzip by section 8.4.1.3).
func Takes(r *http.Request, coding string) bool {
	accept := strings.Join(r.Header.Values("Accept-Encoding"), ",")
	any, named, takes := false, false, false
	for part := range strings.SplitSeq(accept[:min(len(accept), longestAsk)], ",") {
		name, weight, _ := strings.Cut(part, ";")
		weight = strings.ToLower(strings.ReplaceAll(weight, " ", ""))
		n, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64)
		good := weight == "" || err == nil && n > 0
		switch strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "x-") {
		case coding:
			named, takes = true, good
		case "*":
			any = good
		}
	}
	return named && takes || !named && any
}

// zips are compressors at rest.
var zips = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil { // the level is no other than the one above
		panic(err)
	}
	return z
}}

// Whole returns a text compressed, as an answer.
func Whole(text []byte) []byte {
	z := zips.Get().(*gzip.Writer)
	defer zips.Put(z)
	out := bytes.NewBuffer(make([]byte, 0, len(text)/6+64))
	z.Reset(out)
	if _, err := z.Write(text); err != nil { // a buffer takes all
		slog.Error("compressing an answer", "error", err)
	}
	if err := z.Close(); err != nil {
		slog.Error("compressing an answer", "error", err)
	}
	return out.Bytes()
}

// Begin is what a compressed answer begins with that is made of pieces. Sum.End is its end.
var Begin = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// pieces are compressors at rest.
var pieces = sync.Pool{New: func() any {
	z, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil { // likewise
		panic(err)
	}
	return z
}}

// Piece returns a text compressed so that it refers to nothing before it and ends at a whole byte: the same bytes can stand in the answers
// of all who listen, whenever they came (RFC 1951, section 3.2.4: an empty stored block is its end).
func Piece(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	z := pieces.Get().(*flate.Writer)
	defer pieces.Put(z)
	out := bytes.NewBuffer(make([]byte, 0, len(text)/6+64))
	z.Reset(out)
	if _, err := z.Write(text); err != nil { // a buffer takes all
		slog.Error("compressing a piece", "error", err)
	}
	if err := z.Flush(); err != nil {
		slog.Error("compressing a piece", "error", err)
	}
	return out.Bytes()
}

// Sum is what the end of an answer made of pieces says of all the text in them: its checksum and its length (RFC 1952, section 2.3.1). The
// zero value is that of no text.
type Sum struct{ crc, size uint32 }

// SumOf returns that of a text.
func SumOf(text []byte) Sum {
	return Sum{crc32.ChecksumIEEE(text), uint32(len(text))} // modulo 2³², as RFC 1952 has it
}

// Then returns that of two texts, one behind the other. What it costs depends hardly on their length: a text that many get is summed up once.
func (s Sum) Then(next Sum) Sum {
	return Sum{timesPower(s.crc, uint64(next.size)*8) ^ next.crc, s.size + next.size}
}

// End is what such an answer ends with: an empty last block, and what is said of the text.
func (s Sum) End() []byte {
	end := []byte{3, 0} // RFC 1951, section 3.2.6: the last block, of fixed codes, with nothing but its end
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(end, s.crc), s.size)
}

// A checksum is the remainder of a text, as a polynomial over two elements whose highest power is bit 0, divided by another. A text behind it moves it
// up by as many powers as that has bits: it is multiplied by x to that power.

// timesPower multiplies a remainder by x to a power.
func timesPower(crc uint32, power uint64) uint32 {
	for square := uint32(1) << 30; power > 0; power >>= 1 { // x, x², x⁴ …
		if power&1 != 0 {
			crc = times(crc, square)
		}
		square = times(square, square)
	}
	return crc
}

func times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		carry := b & 1
		if b >>= 1; carry != 0 {
			b ^= crc32.IEEE
		}
	}
	return product
}

// Answer is a text, and the same compressed once somebody takes that. Any goroutine may use it; nobody may change the text.
type Answer struct {
	Text []byte

	once   sync.Once
	packed []byte
}

// Serve answers with it.
func (a *Answer) Serve(w http.ResponseWriter, r *http.Request, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept-Encoding")
	body := a.Text
	if len(body) >= least && Accepted(r) {
		a.once.Do(func() { a.packed = Whole(a.Text) })
		body = a.packed
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // who asked is gone
}

// Answers are those made of one picture. The zero value is ready; any goroutine may use it.
type Answers struct {
	mu  sync.Mutex
	of  *picture.Picture
	all map[string]*Answer
}

// Get returns the answer of a name, which write makes if nobody has asked for it since there is this picture.
func (a *Answers) Get(p *picture.Picture, name string, write func() ([]byte, error)) (*Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of != p || a.all == nil {
		a.of, a.all = p, map[string]*Answer{}
	}
	if is := a.all[name]; is != nil {
		return is, nil
	}
	text, err := write()
	if err != nil {
		return nil, err
	}
	answer := &Answer{Text: text}
	if len(a.all) < maxKept {
		a.all[name] = answer
	}
	return answer, nil
}

// Handler compresses what another handler answers with at once.
func Handler(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := &packer{ResponseWriter: w, takes: Accepted(r), status: http.StatusOK}
		next(p, r)
		p.end()
	}
}

// packer is a ResponseWriter that compresses, if the first that is written is long enough.
type packer struct {
	http.ResponseWriter
	takes  bool
	begun  bool
	status int
	zip    *gzip.Writer
}

// WriteHeader notes the status: whether the answer is compressed is known with the first of its body.
func (p *packer) WriteHeader(status int) { p.status = status }

func (p *packer) Write(b []byte) (int, error) {
	if !p.begun {
		p.begin(len(b))
	}
	if p.zip != nil {
		return p.zip.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

func (p *packer) begin(n int) {
	p.begun = true
	h := p.Header()
	h.Add("Vary", "Accept-Encoding")
	if p.takes && n >= least && h.Get("Content-Encoding") == "" {
		h.Del("Content-Length")
		h.Set("Content-Encoding", "gzip")
		p.zip = zips.Get().(*gzip.Writer)
		p.zip.Reset(p.ResponseWriter)
	}
	p.ResponseWriter.WriteHeader(p.status)
}

func (p *packer) end() {
	if !p.begun {
		p.begin(0)
	}
	if p.zip != nil {
		p.zip.Close() //nolint:errcheck // who asked is gone
		p.zip.Reset(io.Discard)
		zips.Put(p.zip)
	}
}
