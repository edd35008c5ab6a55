// Package files answers requests from a directory: which file a path names, whether the client has it already,
// which ranges of it, and in which encoding. It hands back what to send as values and an open file; sending is the
// edge's. It lists no directory, runs nothing and never leaves its root: not by dots, not by links.
//
// It follows RFC 9110: section 12.5.3 for encodings, and package representation for conditional requests and ranges.
package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// Small is how many bytes an answer carries in memory, so that its head and body go out in one write; a longer one is
// sent from the file.
const Small = 32 << 10

// Root is a directory to answer from. It is safe for many goroutines.
type Root struct {
	config *config.Files
	dir    *os.Root
	// boundary makes the separator of several ranges: 128 bits by chance, so that no file can hold it on purpose.
	boundary func() string
}

// New opens the directory; Close closes it. A directory that is replaced later (a link that a release switches) is not
// noticed: the one that was opened goes on answering until the configuration is read anew.
func New(cfg *config.Files) (*Root, error) {
	// os.OpenRoot opens before it looks: a FIFO would hold it for ever.
	info, err := os.Stat(cfg.Root)
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("files root %q is not a directory", cfg.Root)
	}
	dir := (*os.Root)(nil)
	if err == nil {
		dir, err = os.OpenRoot(cfg.Root)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("files root %q does not exist: create the directory or correct the path", cfg.Root)
		}
		return nil, fmt.Errorf("opening files root %q: %w", cfg.Root, bare(err))
	}
	return &Root{config: cfg, dir: dir, boundary: rand.Text}, nil
}

// Close closes the directory. Answers that are being sent are not disturbed.
func (r *Root) Close() error { return r.dir.Close() }

// Part is a stretch of a body: Bytes, or N bytes of the answer's file from Off when Bytes is nil.
type Part struct {
	Bytes  []byte
	Off, N int64
}

// Answer is what to send. It belongs to the caller, who calls Close in every case. Fields that are empty are not sent.
type Answer struct {
	Status int      // 200, 206, 301, 304, or an error (400 and above), which has no body: the error page is the edge's
	File   *os.File // what the parts without bytes are of; nil when there are none
	Parts  []Part   // the body in order; empty for HEAD and for all but 200 and 206
	Length int64    // of the body in bytes, for HEAD too

	Type            string
	ETag            string
	LastModified    string
	ContentRange    string
	ContentEncoding string
	CacheControl    string
	Location        string // of a directory, with the slash that its request lacked
	Allow           string // with 405
	Vary            bool   // send Vary: Accept-Encoding
	AcceptRanges    bool   // send Accept-Ranges: bytes

	Err error // why the status is 500 or 503, for the log

	memory *[Small]byte
}

var memory = sync.Pool{New: func() any { return new([Small]byte) }}

// Close closes the file and gives the memory back; the parts are void then. Twice is once.
func (a *Answer) Close() error {
	if a.memory != nil {
		memory.Put(a.memory)
		a.memory, a.Parts = nil, nil
	}
	if a.File == nil {
		return nil
	}
	err := a.File.Close()
	a.File = nil
	return err
}

// Open answers a GET or HEAD request with what path, normalised and rewritten, names under the root. It blocks on the
// disk. Time is the exchange's: when the request began.
func (r *Root) Open(path []byte, x *exchange.Exchange) Answer {
	a := r.answer(path, x)
	if errors.Is(a.Err, errShrank) { // someone writes it: what is there now is as good
		a = r.answer(path, x)
	}
	return a
}

var errShrank = errors.New("file became shorter while it was read")

func (r *Root) answer(path []byte, x *exchange.Exchange) Answer {
	if x.Req.Method != message.GET && x.Req.Method != message.HEAD {
		return Answer{Status: 405, Allow: "GET, HEAD"}
	}
	name, ok := fileName(path)
	if !ok {
		return Answer{Status: 404}
	}
	f, info, err := r.open(name)
	if err != nil {
		return failed(err)
	}
	slash := path[len(path)-1] == '/'
	if info.IsDir() {
		if err := f.Close(); err != nil {
			return failed(err)
		}
		// A rewritten path may lack the slash that the client's has; sending the client there again would not end.
		if asked := x.Req.Path; !slash && len(asked) > 0 && asked[len(asked)-1] != '/' {
			return Answer{Status: 301, Location: location(asked, x)}
		}
		if name, f, info, err = r.index(name); err != nil {
			return failed(err)
		}
	} else if slash {
		return closing(f, Answer{Status: 404})
	}
	if !info.Mode().IsRegular() {
		return closing(f, Answer{Status: 404})
	}
	return r.represent(name, f, info, x)
}

// open opens what a name stands for. O_NONBLOCK: a FIFO without a writer would else hold the caller for ever.
func (r *Root) open(name string) (*os.File, fs.FileInfo, error) {
	f, err := r.dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// index opens the first index file that a directory has.
func (r *Root) index(dir string) (string, *os.File, fs.FileInfo, error) {
	for _, index := range r.config.Index {
		name := dir + "/" + index
		f, info, err := r.open(name)
		switch {
		case err != nil && statusOf(err) != 404:
			return "", nil, nil, err
		case err != nil:
		case info.Mode().IsRegular():
			return name, f, info, nil
		default:
			if err := f.Close(); err != nil {
				return "", nil, nil, err
			}
		}
	}
	return "", nil, nil, fs.ErrNotExist
}

// represent chooses the encoding and evaluates the conditions and ranges on it, in this order.
func (r *Root) represent(name string, f *os.File, info fs.FileInfo, x *exchange.Exchange) Answer {
	a := Answer{Status: 200, File: f, Type: typeOf(name), CacheControl: r.config.CacheControl}
	if r.config.Precompressed && compressible(a.Type) {
		coding, packed, packedInfo, vary := r.neighbour(name, info, &x.Req.Fields)
		a.Vary = vary
		switch {
		case packed != nil:
			if err := f.Close(); err != nil {
				return closing(packed, failed(err))
			}
			a.File, info, a.ContentEncoding = packed, packedInfo, coding
		case coding == none:
			// Nothing that there is will do, and the client said so (RFC 9110, section 12.5.3).
			return closing(f, Answer{Status: 406, Vary: true})
		}
	}
	v := validatorsOf(info, a.ContentEncoding, x.Journal.Start)
	a.ETag, a.LastModified = string(v.ETag), string(representation.AppendDate(nil, v.Modified))
	switch v.Evaluate(&x.Req, representation.Origin) {
	case representation.Failed:
		return closing(a.File, Answer{Status: 412, Vary: a.Vary})
	case representation.NotModified:
		// RFC 9110, section 15.4.5: the validators and what caches keep by; no word on the body.
		return closing(a.File, Answer{Status: 304, ETag: a.ETag, LastModified: a.LastModified, CacheControl: a.CacheControl, Vary: a.Vary})
	}
	a.AcceptRanges = true
	var ranges representation.Ranges
	ranges.Select(&x.Req, &v, info.Size())
	a.plan(info.Size(), &ranges, r.boundary)
	if x.Req.Method == message.HEAD || a.Status == 416 {
		a.Parts = nil
	}
	return a.settle()
}

// plan says which bytes of a file of this size make the body.
func (a *Answer) plan(size int64, ranges *representation.Ranges, boundary func() string) {
	switch ranges.Part {
	case representation.Unsatisfiable:
		a.Status, a.ContentRange, a.Length = 416, string(representation.AppendUnsatisfied(nil, size)), 0
		a.ETag, a.LastModified, a.CacheControl, a.ContentEncoding = "", "", "", "" // of the file, not of the error
	case representation.Whole:
		a.Length = size
		if size > 0 {
			a.Parts = []Part{{N: size}}
		}
	case representation.One:
		s := ranges.Spans()[0]
		a.Status, a.ContentRange, a.Length = 206, string(representation.AppendContentRange(nil, s, size)), s.N
		a.Parts = []Part{{Off: s.Off, N: s.N}}
	case representation.Several:
		m := representation.Multipart{Boundary: boundary(), Type: a.Type, Size: size}
		for i, s := range ranges.Spans() {
			a.Parts = append(a.Parts, Part{Bytes: m.AppendHead(nil, s, i == 0)}, Part{Off: s.Off, N: s.N})
		}
		a.Parts = append(a.Parts, Part{Bytes: m.AppendEnd(nil)})
		a.Status, a.Type, a.Length = 206, string(m.AppendType(nil)), m.Length(ranges.Spans())
	}
}

// settle reads what is small into memory, and closes a file of which nothing is to be sent.
func (a *Answer) settle() Answer {
	var n int64
	for _, p := range a.Parts {
		n += p.N
	}
	if n > Small {
		return *a
	}
	var free []byte
	if n > 0 {
		a.memory = memory.Get().(*[Small]byte)
		free = a.memory[:]
	}
	for i := range a.Parts {
		p := &a.Parts[i]
		if p.Bytes != nil {
			continue
		}
		switch _, err := a.File.ReadAt(free[:p.N], p.Off); {
		case errors.Is(err, io.EOF):
			return a.giveUp(fmt.Errorf("reading %q: %w", a.File.Name(), errShrank))
		case err != nil:
			return a.giveUp(err)
		}
		p.Bytes, free = free[:p.N:p.N], free[p.N:]
	}
	err := a.File.Close()
	a.File = nil
	if err != nil {
		return a.giveUp(err)
	}
	return *a
}

func (a *Answer) giveUp(err error) Answer {
	return Answer{Status: 500, Err: errors.Join(err, a.Close())}
}

// closing closes a file that is not needed for the answer.
func closing(f *os.File, a Answer) Answer {
	if err := f.Close(); err != nil {
		return failed(err)
	}
	return a
}

func failed(err error) Answer {
	a := Answer{Status: statusOf(err)}
	if a.Status >= 500 {
		a.Err = err
	}
	return a
}

// statusOf says what a failed open means to the client. A name that leads out of the root is simply not there.
func statusOf(err error) int {
	var no syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 404
	case errors.Is(err, fs.ErrPermission):
		return 403
	case !errors.As(err, &no):
		if errors.Is(err, fs.ErrClosed) {
			return 500
		}
		return 404 // os.Root's own refusals: the path escapes, too many links
	}
	switch no {
	case syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL:
		return 404
	case syscall.ENXIO, syscall.ENODEV: // a socket, a device without a driver
		return 404
	case syscall.EMFILE, syscall.ENFILE:
		return 503
	}
	return 500
}

// bare takes an error out of the path and operation that the message says already.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// validatorsOf makes a strong entity tag of size and time of change. Not of the inode: several nodes that hold the
// same release are to agree. A file was never changed later than the response is made (RFC 9110, section 8.8.2.1).
func validatorsOf(info fs.FileInfo, encoding string, now time.Time) representation.Validators {
	tag := fmt.Appendf(nil, `"%x-%x`, info.Size(), info.ModTime().UnixNano())
	if encoding != "" {
		tag = append(append(tag, '-'), encoding...)
	}
	return representation.Validators{ETag: append(tag, '"'), Modified: min(info.ModTime().Unix(), now.Unix()), Date: now.Unix()}
}

// location is where a directory's listing would be. Only what may stand in a path is let through.
func location(asked []byte, x *exchange.Exchange) string {
	var b strings.Builder
	for i, c := range asked {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' || i == 1 && c == '/' {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	b.WriteByte('/')
	if x.Req.HasQuery {
		b.WriteByte('?')
		for _, c := range x.Req.Query {
			if c <= ' ' || c >= 0x7f {
				fmt.Fprintf(&b, "%%%02X", c)
				continue
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}
