package edge

import (
	"log/slog"

	"github.com/weirhq/weir/internal/files"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
)

// respondFile answers from the route's directory. The disk is waited for off the loop.
func (h *handler) respondFile() {
	path := h.path
	if len(path) == 0 {
		path = h.x.Req.Path
	}
	var a files.Answer
	h.t.Do(func() {
		root, err := h.route.files.get()
		if err != nil {
			a = files.Answer{Status: 404, Err: err}
			return
		}
		a = root.Open(path, &h.x)
	})
	defer h.closeFile(&a)
	if a.Err != nil {
		slog.Error("a file could not be sent", "route", h.route.name, "error", a.Err)
	}
	if a.Status >= 400 && a.Status != 416 {
		h.failWith(a.Status, journal.NoCause, "", func(dst []byte) []byte {
			if a.Allow != "" {
				dst = appendField(dst, "Allow", a.Allow)
			}
			if a.Vary {
				dst = append(dst, "Vary: Accept-Encoding\r\n"...)
			}
			return dst
		})
		return
	}
	h.out = h.appendFileHead(h.out[:0], &a)
	h.answered = true
	h.x.Journal.Status = a.Status
	head := h.out
	for _, p := range a.Parts {
		if p.Bytes != nil {
			if !h.write2(head, p.Bytes) {
				return
			}
			h.x.Journal.Out += int64(len(p.Bytes))
			head = nil
			continue
		}
		if len(head) > 0 && !h.write2(head, nil) {
			return
		}
		head = nil
		if !h.sendPart(&a, p) {
			return
		}
	}
	if len(head) > 0 {
		h.write2(head, nil)
	}
}

// closeFile ends an answer; the file may have been on a disk that is slow to let go.
func (h *handler) closeFile(a *files.Answer) {
	if err := a.Close(); err != nil {
		slog.Error("closing a file that was sent", "route", h.route.name, "error", err)
	}
}

// sendPart sends a stretch of the file.
func (h *handler) sendPart(a *files.Answer, p files.Part) bool {
	n, err := h.pushFile(h.t, h.conn, a.File, p.Off, p.N)
	h.x.Journal.Out += n
	if err != nil {
		h.lostClient(err)
		return false
	}
	return true
}

// appendFileHead makes the head of an answer from files.
func (h *handler) appendFileHead(dst []byte, a *files.Answer) []byte {
	dst = h.appendOwnHead(dst, a.Status)
	for _, f := range [...]struct{ name, value string }{
		{"Content-Type", a.Type}, {"ETag", a.ETag}, {"Last-Modified", a.LastModified},
		{"Content-Range", a.ContentRange}, {"Content-Encoding", a.ContentEncoding},
		{"Cache-Control", a.CacheControl}, {"Location", a.Location},
	} {
		if f.value != "" {
			dst = appendField(dst, f.name, f.value)
		}
	}
	if a.Vary {
		dst = append(dst, "Vary: Accept-Encoding\r\n"...)
	}
	if a.AcceptRanges {
		dst = append(dst, "Accept-Ranges: bytes\r\n"...)
	}
	if a.Status != 304 {
		dst = appendLength(dst, a.Length)
	}
	return h.endOwnHead(dst)
}

// appendOwnHead begins the head of a response that weir makes itself.
func (h *handler) appendOwnHead(dst []byte, status int) []byte {
	dst = http1.AppendStatusLine(dst, status)
	dst = append(dst, "Server: weir\r\n"...)
	return h.l.appendDate(dst)
}

// endOwnHead ends it. dst holds nothing but the head.
func (h *handler) endOwnHead(dst []byte) []byte {
	if h.route != nil {
		dst = append(h.route.response.strike(dst), h.route.response.set...)
	}
	dst = appendField(dst, "X-Request-ID", h.x.ID)
	return h.appendConnection(dst)
}

// isHead reports whether the client asked for the head alone, as far as its request could be read.
func (h *handler) isHead() bool { return h.x.Req.Method == message.HEAD }
