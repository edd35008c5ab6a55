package series

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// How series go over to the next desk: a line that says what it is, then each subject with its name and its rings, all numbers
// little-endian. A file of another form is refused, and nothing is lost but the past.

const form = "weir series 1\n"

const maxName = 1 << 10

var errDamaged = errors.New("the file of series is damaged")

// Save writes everything.
func (s *Store) Save(to io.Writer) error {
	w := bufio.NewWriterSize(to, 64<<10)
	w.WriteString(form) //nolint:errcheck // Flush tells
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, o := range s.subjects {
		if len(name) > maxName {
			continue
		}
		head := binary.LittleEndian.AppendUint16(nil, uint16(len(name)))
		head = append(head, name...)
		head = binary.LittleEndian.AppendUint64(head, uint64(o.seen))
		w.Write(head) //nolint:errcheck // Flush tells
		for i := range o.rings {
			r := &o.rings[i]
			head = binary.LittleEndian.AppendUint64(head[:0], uint64(r.at))
			head = binary.LittleEndian.AppendUint32(head, uint32(len(r.points)))
			w.Write(head) //nolint:errcheck // Flush tells
			if err := binary.Write(w, binary.LittleEndian, r.points); err != nil {
				return fmt.Errorf("writing series: %w", err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing series: %w", err)
	}
	return nil
}

// Load reads what another one has saved, in place of what there is. On an error there is nothing. The newest point of each span begins
// anew: what it was made of is not known.
func (s *Store) Load(from io.Reader) error {
	subjects, err := read(bufio.NewReaderSize(from, 64<<10))
	if err != nil {
		subjects = map[string]*subject{}
	}
	s.mu.Lock()
	s.subjects = subjects
	s.mu.Unlock()
	return err
}

func read(r *bufio.Reader) (map[string]*subject, error) {
	head := make([]byte, len(form))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != form {
		return nil, errDamaged
	}
	all := map[string]*subject{}
	for {
		var size [2]byte
		if _, err := io.ReadFull(r, size[:]); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, errDamaged
		}
		n := binary.LittleEndian.Uint16(size[:])
		if n > maxName || len(all) >= maxSubjects {
			return nil, errDamaged
		}
		name := make([]byte, int(n)+8)
		if _, err := io.ReadFull(r, name); err != nil {
			return nil, errDamaged
		}
		o := &subject{seen: int64(binary.LittleEndian.Uint64(name[n:]))}
		for i := range o.rings {
			if err := o.rings[i].read(r, Spans[i]); err != nil {
				return nil, err
			}
		}
		all[string(name[:n])] = o
	}
}

func (r *ring) read(from io.Reader, s Span) error {
	var head [12]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return errDamaged
	}
	at, n := int64(binary.LittleEndian.Uint64(head[:])), binary.LittleEndian.Uint32(head[8:])
	if n > uint32(s.Len) || at < 0 || (at == 0) != (n == 0) {
		return errDamaged
	}
	r.at, r.points = at, make([]point, n)
	if err := binary.Read(from, binary.LittleEndian, r.points); err != nil {
		return errDamaged
	}
	return nil
}
