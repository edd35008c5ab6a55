package series

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// How series are written for the next desk: each subject with its name and its rings, all numbers little-endian. The points of a ring are
// written by columns: what changes little is then beside its like, and whoever compresses the file finds it.

// Format is the number of this form.
const Format = 1

const maxName = 1 << 10

var errDamaged = errors.New("series that end, or go on, where they must not")

// Save writes everything. Pictures are taken meanwhile: it waits for no more than one subject at a time.
func (s *Store) Save(to io.Writer) error {
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.subjects))
	s.mu.Unlock()
	w := bufio.NewWriterSize(to, 64<<10)
	var text []byte
	for _, name := range names {
		s.mu.Lock()
		o := s.subjects[name]
		if o == nil || len(name) > maxName {
			s.mu.Unlock()
			continue
		}
		text = binary.LittleEndian.AppendUint16(text[:0], uint16(len(name)))
		text = append(text, name...)
		text = binary.LittleEndian.AppendUint64(text, uint64(o.seen))
		for i := range o.rings {
			text = o.rings[i].append(text)
		}
		s.mu.Unlock()
		w.Write(text) //nolint:errcheck // Flush tells
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing series: %w", err)
	}
	return nil
}

func (r *ring) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(r.at))
	to = binary.LittleEndian.AppendUint32(to, uint32(len(r.points)))
	for i := range numNames {
		to = binary.LittleEndian.AppendUint32(to, math.Float32bits(r.sum[i]))
		to = binary.LittleEndian.AppendUint32(to, uint32(r.n[i]))
		for j := range r.points {
			to = binary.LittleEndian.AppendUint32(to, math.Float32bits(r.points[j][i]))
		}
	}
	return to
}

// Load reads what another one has saved, in place of what there is. On an error there is nothing.
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
	all := map[string]*subject{}
	for {
		var size [2]byte
		if _, err := io.ReadFull(r, size[:]); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, errors.Join(errDamaged, err)
		}
		n := binary.LittleEndian.Uint16(size[:])
		if n > maxName || len(all) >= maxSubjects {
			return nil, errDamaged
		}
		name := make([]byte, int(n)+8)
		if _, err := io.ReadFull(r, name); err != nil {
			return nil, errors.Join(errDamaged, err)
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
		return errors.Join(errDamaged, err)
	}
	at, n := int64(binary.LittleEndian.Uint64(head[:])), binary.LittleEndian.Uint32(head[8:])
	if n > uint32(s.Len) || at < 0 || (at == 0) != (n == 0) {
		return errDamaged
	}
	r.at, r.points = at, make([]point, n)
	column := make([]byte, 8+4*n)
	for i := range numNames {
		if _, err := io.ReadFull(from, column); err != nil {
			return errors.Join(errDamaged, err)
		}
		number := func(k uint32) uint32 { return binary.LittleEndian.Uint32(column[4*k:]) }
		r.sum[i], r.n[i] = math.Float32frombits(number(0)), int32(number(1))
		for j := range n {
			r.points[j][i] = math.Float32frombits(number(2 + j))
		}
	}
	return nil
}
