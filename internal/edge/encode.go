package edge

import (
	"strconv"

	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// encoding is the compression of one response that comes plain from a server and is for one client alone. What the cache
// keeps is encoded once, see keptcoding.go.
type encoding struct {
	coding  representation.Coding // Identity: the response goes out as it came
	enc     *compress.Encoder
	flushes bool   // each piece is to reach the client as it comes
	unsent  bool   // something was written since the last flush
	ended   bool   // everything has been read from the encoder
	out     []byte // what it made last
	tag     []byte // the ETag of what it makes
}

// encoders bounds what a loop's responses hold in encoders, of somewhat under a MiB each; further ones go out plain.
const encoders = 24

// keepEncoded is how large a buffer a resting handler keeps.
const keepEncoded = 64 << 10

// encode decides whether the response is compressed, and in which coding. The response's fields are changed to what the
// client gets.
func (h *handler) encode(length int64) {
	e, p := &h.enc, h.route.compress
	h.endEncoding() // of an earlier try
	if p == nil || h.x.Req.Method != message.GET && h.x.Req.Method != message.HEAD && h.x.Req.Method != message.POST {
		return
	}
	f := &h.x.Resp.Fields
	if h.x.Resp.Status == 304 {
		h.encodeNotModified()
		return
	}
	verdict, coding := p.Decide(h.x.Resp.Status, f, length, representation.Accepted(&h.x.Req.Fields))
	if verdict.Varies() && !compress.VaryNames(f) {
		f.Add(message.Vary, varyName, varyEncoding)
	}
	if coding == representation.Identity || compress.Exposed(&h.x.Req.Fields) {
		return
	}
	if h.x.Req.Method == message.GET || h.x.Req.Method == message.POST {
		if h.x.Resp.Body == message.NoBody {
			return
		}
		enc, err := h.l.encoders.Get(coding)
		if err != nil {
			return // all are taken: it goes out plain
		}
		e.enc, e.ended, e.flushes = enc, false, compress.Flushes(f)
		h.x.Resp.Body = message.Chunked
	}
	e.coding = coding
	e.tag = encodeFields(f, coding, e.tag[:0])
}

var (
	varyName     = []byte("Vary")
	varyEncoding = []byte("Accept-Encoding")
	codingName   = []byte("Content-Encoding")
	tagName      = []byte("ETag")
	codingValues = func() (v [8][]byte) {
		for c := range v {
			v[c] = []byte(representation.Coding(c).String())
		}
		return v
	}()
)

// announced is the length that a response to HEAD tells of, -1 when it does not.
func announced(f *message.Fields) int64 {
	n, err := strconv.ParseInt(string(f.Get(message.ContentLength)), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// encodeFields makes a plain response's fields those of its encoded form. It returns the entity tag's memory.
func encodeFields(f *message.Fields, c representation.Coding, tag []byte) []byte {
	plain := f.Get(message.ETag)
	kept := f.List[:0]
	for _, l := range f.List {
		if !describesPlain(&l) {
			kept = append(kept, l)
		}
	}
	f.List = kept
	f.Add(message.ContentEncoding, codingName, codingValues[c])
	if plain != nil {
		tag = compress.EncodedETag(tag, plain, c)
		f.Add(message.ETag, tagName, tag)
	}
	return tag
}

// describesPlain reports whether a field is about the bytes as they were before they were encoded.
func describesPlain(l *message.Field) bool {
	switch l.ID {
	case message.ETag, message.ContentLength, message.AcceptRanges:
		return true
	case message.Other:
		return message.EqualFold(l.Name, "content-md5") || message.EqualFold(l.Name, "digest") ||
			message.EqualFold(l.Name, "content-digest") || message.EqualFold(l.Name, "repr-digest")
	}
	return false
}

// encodeNotModified gives a 304 the tag of what the client has (RFC 9110, section 15.4.5).
func (h *handler) encodeNotModified() {
	f := &h.x.Resp.Fields
	if !compress.VaryNames(f) {
		f.Add(message.Vary, varyName, varyEncoding)
	}
	if plain := f.Get(message.ETag); plain != nil && h.tagged != representation.Identity {
		h.enc.tag = compress.EncodedETag(h.enc.tag[:0], plain, h.tagged)
		f.Del(message.ETag)
		f.Add(message.ETag, tagName, h.enc.tag)
	}
}

// encoded compresses bytes of the body; last says that they are the last. The result is valid until the next call.
func (e *encoding) encoded(p []byte, last bool) ([]byte, error) {
	out := e.out[:0]
	var err error
	e.unsent = true
	for len(p) > 0 && err == nil {
		n := min(len(p), compress.MaxWrite)
		out, err = e.enc.Write(out, p[:n])
		p = p[n:]
	}
	if err == nil && last {
		e.ended = true
		out, err = e.enc.Close(out)
	} else if err == nil && e.flushes {
		out, err = e.enc.Flush(out)
	}
	e.out = out
	return out, err
}

// end gives the encoder back.
func (h *handler) endEncoding() {
	e := &h.enc
	if e.enc != nil {
		h.l.encoders.Put(e.enc)
		e.enc = nil
	}
	e.coding = representation.Identity
	if cap(e.out) > keepEncoded {
		e.out = nil
	}
}

// nextBody returns the next bytes of the body as the client gets it, nil at its end.
func (h *handler) nextBody(between loop.Time) ([]byte, error) {
	e := &h.enc
	if e.enc == nil {
		data, err := h.up.read(h, between)
		if h.kept.part.fill != nil && err == nil {
			h.feedPart(data, data == nil)
		}
		return data, err
	}
	for !e.ended {
		data, err := h.up.read(h, between)
		if err != nil {
			return nil, err
		}
		if data, err = e.encoded(data, data == nil); err != nil || len(data) > 0 {
			return data, err
		}
	}
	return nil, nil
}
