package ban

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// On disk a list is records, one behind the other: the length of what follows and its complement, 2 bytes each, the
// checksum (CRC-32C) of what follows, a letter, and by it
//
//	'B'  numbers: the newest purge, the line for soft ones, the line for hard ones; always first, never again
//	'P'  a purge: its number, kind, hardness, tag, length of host, host, path
//	'E'  a purge of a URL or path that is too long for that: its number, hardness and hash
//	'H'  an entry of the table: its hash, soft and hard number
//
// All numbers are little-endian. A purge is answered after its record is on the disk, so a record that breaks off at the
// very end was answered to nobody and is dropped. Anything else that is wrong may hide an answered purge: then the list
// vouches for nothing older than itself.
const (
	recordHead = 8
	maxRecord  = recordHead + 1 + 8 + 2 + 8 + 2 + maxText
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	order      = binary.LittleEndian

	errDamaged = errors.New("damaged")
)

// beginRecord and endRecord frame what is appended between them.
func beginRecord(dst []byte, letter byte) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, letter)
}

func endRecord(dst []byte, from int) []byte {
	body := dst[from+recordHead:]
	order.PutUint16(dst[from:], uint16(len(body)))
	order.PutUint16(dst[from+2:], ^uint16(len(body)))
	order.PutUint32(dst[from+4:], crc32.Checksum(body, castagnoli))
	return dst
}

func appendNumbers(dst []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		dst = order.AppendUint64(dst, n)
	}
	return dst
}

// appendPurge appends the record of a purge that has got its number.
func appendPurge(dst []byte, seq Seq, p *Purge) []byte {
	from, hard := len(dst), byte(0)
	if p.Hard {
		hard = 1
	}
	if (p.Kind == URL || p.Kind == Path) && len(p.Host)+len(p.Path) > maxText {
		dst = appendNumbers(beginRecord(dst, 'E'), uint64(seq))
		return endRecord(appendNumbers(append(dst, hard), p.entry()), from)
	}
	dst = appendNumbers(beginRecord(dst, 'P'), uint64(seq))
	dst = appendNumbers(append(dst, byte(p.Kind), hard), p.Tag)
	dst = append(order.AppendUint16(dst, uint16(len(p.Host))), p.Host...)
	return endRecord(append(dst, p.Path...), from)
}

// AppendTo appends the whole list as records, and nothing that it has folded.
func (l *List) AppendTo(dst []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.view.Load()
	from := len(dst)
	dst = endRecord(appendNumbers(beginRecord(dst, 'B'), l.seq.Load(), uint64(w.line.soft), uint64(w.line.hard)), from)
	w.hashes.each(func(hash uint64, soft, hard Seq) {
		from := len(dst)
		dst = endRecord(appendNumbers(beginRecord(dst, 'H'), hash, uint64(soft), uint64(hard)), from)
	})
	for i := range w.rules {
		r := &w.rules[i]
		p := Purge{Kind: Prefix, Hard: r.hard, Host: r.host, Path: r.path}
		if r.pattern != nil {
			p.Kind = Pattern
		}
		dst = appendPurge(dst, r.seq, &p)
	}
	return dst
}

// cutRecord takes a record's content off b; ok is false when there is no whole and sound one.
func cutRecord(b []byte) (body, rest []byte, ok bool) {
	n, ok := recordLength(b)
	if !ok || n > len(b)-recordHead {
		return nil, b, false
	}
	body = b[recordHead : recordHead+n]
	return body, b[recordHead+n:], crc32.Checksum(body, castagnoli) == order.Uint32(b[4:])
}

// recordLength reads the length at the head of a record; ok is false when there is no whole and sound head.
func recordLength(b []byte) (n int, ok bool) {
	if len(b) < recordHead {
		return 0, false
	}
	length := order.Uint16(b)
	return int(length), length == ^order.Uint16(b[2:]) && length > 0 && length <= maxRecord-recordHead
}

// torn reports whether what follows the last sound record is one that was being written when the machine stopped: an
// end that is missing, or all zeros, where the file had grown but not been filled.
func torn(b []byte) bool {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return true
	}
	if len(b) >= recordHead {
		n, ok := recordLength(b)
		return ok && n > len(b)-recordHead
	}
	return true
}

// Restore reads a list back. good is how many bytes of b count: the rest is a record that broke off. The error says
// that b is damaged, and there is no list.
func Restore(b []byte, limits Limits) (l *List, good int, err error) {
	l = New(0, limits)
	for rest := b; ; {
		body, next, ok := cutRecord(rest)
		if !ok {
			if good == 0 || !torn(rest) {
				return nil, 0, errDamaged
			}
			return l, good, nil
		}
		if !l.restore(body, good == 0) {
			return nil, 0, errDamaged
		}
		rest = next
		good = len(b) - len(rest)
	}
}

// restore applies the content of a record.
func (l *List) restore(body []byte, first bool) bool {
	letter, b := body[0], body[1:]
	if (letter == 'B') != first {
		return false
	}
	switch {
	case letter == 'B' && len(b) == 24:
		w := *l.view.Load()
		w.line = line{soft: Seq(order.Uint64(b[8:])), hard: Seq(order.Uint64(b[16:]))}
		l.view.Store(&w)
		l.seq.Store(order.Uint64(b))
		return max(w.line.soft, w.line.hard) <= l.Now()
	case letter == 'H' && len(b) == 24:
		hash, soft, hard := order.Uint64(b), Seq(order.Uint64(b[8:])), Seq(order.Uint64(b[16:]))
		if hash == 0 || max(soft, hard) == 0 || max(soft, hard) > l.Now() {
			return false
		}
		w := *l.view.Load()
		if soft > 0 {
			l.put(&w, hash, soft, false)
		}
		if hard > 0 {
			l.put(&w, hash, hard, true)
		}
		l.view.Store(&w)
		return true
	case letter == 'P' && len(b) >= 20:
		host := int(order.Uint16(b[18:]))
		if b[9] > 1 || host > len(b)-20 {
			return false
		}
		seq := Seq(order.Uint64(b))
		p := Purge{Kind: Kind(b[8]), Hard: b[9] == 1, Tag: order.Uint64(b[10:]), Host: string(b[20 : 20+host]), Path: string(b[20+host:])}
		if p.Check() != nil || seq == 0 {
			return false
		}
		l.apply(&p, seq)
		l.seq.Store(max(l.seq.Load(), uint64(seq)))
		return true
	case letter == 'E' && len(b) == 17:
		seq, hash := Seq(order.Uint64(b)), order.Uint64(b[9:])
		if b[8] > 1 || seq == 0 || hash == 0 {
			return false
		}
		w := *l.view.Load()
		l.put(&w, hash, seq, b[8] == 1)
		l.view.Store(&w)
		l.seq.Store(max(l.seq.Load(), uint64(seq)))
		return true
	}
	return false
}
