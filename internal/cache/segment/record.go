package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/weirhq/weir/internal/cache/store"
)

// A record is
//
//	 0  magic (4), version (1), kind (1), format of the head (2)
//	 8  key (16)
//	24  number of the segment (4): a record is believed only where it was written
//	28  length of the head (4)
//	32  length of the body (8)
//	40  number of the body's file, 0 when the body follows (4)
//	44  checksum of head and table (4)
//	48  when the object is of no use any more, in seconds since 1970 (8)
//	56  free (4), checksum of bytes 0 to 59 (4)
//	64  head, table (4 for each 64 KiB of the body), body, zeros up to a multiple of 16
//
// All numbers are little-endian; checksums are CRC-32C.
const (
	headerSize = 64
	align      = 16
	chunkSize  = 64 << 10
	magic      = 0x72696577
	version    = 1

	kindInline  = 1 // the body follows
	kindPointer = 2 // the body is in a file of its own
)

// maxBody is the longest body; its table is what the memory cache has to hold to serve it.
const maxBody = 16 << 30

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian

	errDamaged = errors.New("damaged")
)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

type header struct {
	kind    byte
	format  uint16
	key     store.Key
	segment uint32
	headLen uint32
	bodyLen int64
	file    uint32
	metaSum uint32
	until   int64
}

// put writes the header into the first bytes of b.
func (h *header) put(b []byte) {
	b = b[:headerSize]
	clear(b)
	le.PutUint32(b, magic)
	b[4], b[5] = version, h.kind
	le.PutUint16(b[6:], h.format)
	copy(b[8:24], h.key[:])
	le.PutUint32(b[24:], h.segment)
	le.PutUint32(b[28:], h.headLen)
	le.PutUint64(b[32:], uint64(h.bodyLen))
	le.PutUint32(b[40:], h.file)
	le.PutUint32(b[44:], h.metaSum)
	le.PutUint64(b[48:], uint64(h.until))
	le.PutUint32(b[60:], sum(b[:60]))
}

// parseHeader reads a header; ok is false for what is none that this version wrote in this segment.
func parseHeader(b []byte, segment uint32) (h header, ok bool) {
	if len(b) < headerSize || le.Uint32(b) != magic || b[4] != version || le.Uint32(b[60:]) != sum(b[:60]) {
		return h, false
	}
	h = header{kind: b[5], format: le.Uint16(b[6:]), segment: le.Uint32(b[24:]), headLen: le.Uint32(b[28:]), bodyLen: int64(le.Uint64(b[32:])),
		file: le.Uint32(b[40:]), metaSum: le.Uint32(b[44:]), until: int64(le.Uint64(b[48:]))}
	copy(h.key[:], b[8:24])
	ok = h.segment == segment && h.headLen <= store.MaxHead && h.bodyLen >= 0 && h.bodyLen <= maxBody &&
		(h.kind == kindInline && h.file == 0 || h.kind == kindPointer && h.file != 0)
	return h, ok
}

// tableLen is the length of the table of a body's checksums.
func tableLen(body int64) int64 { return (body + chunkSize - 1) / chunkSize * 4 }

// size is the length of the whole record.
func (h *header) size() int64 {
	n := headerSize + int64(h.headLen) + tableLen(h.bodyLen)
	if h.kind == kindInline {
		n += h.bodyLen
	}
	return (n + align - 1) &^ (align - 1)
}

// appendTable appends the checksums of a body that is here whole.
func appendTable(dst, body []byte) []byte {
	for len(body) > 0 {
		n := min(len(body), chunkSize)
		dst = le.AppendUint32(dst, sum(body[:n]))
		body = body[n:]
	}
	return dst
}

// Record is an object as it was read from the disk. Its slices lie in the buffer that it was read into.
type Record struct {
	Key   store.Key
	Head  []byte
	Body  []byte // nil when there is a Large.Number
	Until int64  // when it is of no use any more, in seconds since 1970
	Large Large  // the body that is in a file of its own
}

// parseRecord checks a whole record: that it is one, in this segment, of this key, and that not a bit of it is wrong.
func parseRecord(b []byte, segment uint32, key store.Key, format uint16) (Record, error) {
	h, ok := parseHeader(b, segment)
	if !ok || h.key != key || h.format != format || h.size() != int64(len(b)) {
		return Record{}, errDamaged
	}
	meta := b[headerSize : headerSize+int64(h.headLen)+tableLen(h.bodyLen)]
	if sum(meta) != h.metaSum {
		return Record{}, errDamaged
	}
	r := Record{Key: h.key, Head: meta[:h.headLen:h.headLen], Until: h.until}
	table := meta[h.headLen:]
	if h.kind == kindPointer {
		r.Large = Large{Number: h.file, Size: h.bodyLen, Table: table}
		return r, nil
	}
	r.Body = b[headerSize+len(meta):][:h.bodyLen:h.bodyLen]
	for i, rest := 0, r.Body; len(rest) > 0; i++ {
		n := min(len(rest), chunkSize)
		if sum(rest[:n]) != le.Uint32(table[4*i:]) {
			return Record{}, errDamaged
		}
		rest = rest[n:]
	}
	return r, nil
}
