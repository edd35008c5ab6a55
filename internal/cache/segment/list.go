package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weirhq/weir/internal/cache/store"
)

// The list of what is in a segment is
//
//	 0  magic (4), version (4)
//	 8  number of the segment (4), how many entries (4)
//	16  up to where in the segment it tells (8)
//	24  checksum of the entries (4), checksum of bytes 0 to 27 (4)
//	32  entries: key (16), offset and size of the record in units of 16 bytes (4 each), number of the body's file (4)
const (
	listMagic  = 0x78696577
	listHeader = 32
	listEntry  = 28
)

// listed is a record as the list of its segment tells of it.
type listed struct {
	key       store.Key
	off, size uint32
	file      uint32
}

func (l *listed) entry(segment uint32) entry {
	return entry{hash: hashOf(&l.key), segment: segment, off: l.off, size: l.size}
}

func appendList(dst []byte, segment uint32, covers int64, list []listed) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, listHeader)...)
	for i := range list {
		l := &list[i]
		dst = append(dst, l.key[:]...)
		dst = le.AppendUint32(le.AppendUint32(le.AppendUint32(dst, l.off), l.size), l.file)
	}
	b := dst[from:]
	le.PutUint32(b, listMagic)
	le.PutUint32(b[4:], version)
	le.PutUint32(b[8:], segment)
	le.PutUint32(b[12:], uint32(len(list)))
	le.PutUint64(b[16:], uint64(covers))
	le.PutUint32(b[24:], sum(b[listHeader:]))
	le.PutUint32(b[28:], sum(b[:28]))
	return dst
}

// parseList reads the list of a segment that is size bytes long.
func parseList(b []byte, segment uint32, size int64) (list []listed, covers int64, err error) {
	if len(b) < listHeader || le.Uint32(b) != listMagic || le.Uint32(b[4:]) != version || le.Uint32(b[8:]) != segment ||
		le.Uint32(b[28:]) != sum(b[:28]) || le.Uint32(b[24:]) != sum(b[listHeader:]) {
		return nil, 0, errDamaged
	}
	n := int(le.Uint32(b[12:]))
	covers = int64(le.Uint64(b[16:]))
	if covers < 0 || covers > size || len(b) != listHeader+n*listEntry {
		return nil, 0, errDamaged
	}
	list = make([]listed, n)
	for i, at := 0, b[listHeader:]; i < n; i, at = i+1, at[listEntry:] {
		l := &list[i]
		copy(l.key[:], at)
		l.off, l.size, l.file = le.Uint32(at[16:]), le.Uint32(at[20:]), le.Uint32(at[24:])
		if l.size < headerSize/align || (int64(l.off)+int64(l.size))*align > covers {
			return nil, 0, errDamaged
		}
	}
	return list, covers, nil
}

// scanBuffer is how much of a segment is read at a time.
const scanBuffer = 256 << 10

// scan finds the records of a segment from an offset on by their headers. end is where the last one ends; damaged is how
// often something stood between records that is none.
func scan(r io.ReaderAt, segment uint32, from, size int64) (list []listed, end int64, damaged int, err error) {
	buf := make([]byte, scanBuffer)
	var have []byte // what of buf is of the file, from at on
	at, end := from, from
	skipping := false
	for at+headerSize <= size {
		if len(have) < headerSize {
			n, err := r.ReadAt(buf[:min(scanBuffer, size-at)], at)
			if err != nil && !(errors.Is(err, io.EOF) && n >= headerSize) {
				if errors.Is(err, io.EOF) {
					break
				}
				return nil, 0, 0, err
			}
			have = buf[:n]
		}
		h, ok := parseHeader(have, segment)
		if n := h.size(); ok && n <= size-at {
			list = append(list, listed{key: h.key, off: uint32(at / align), size: uint32(n / align), file: h.file})
			skipping = false
			at += n
			end = at
			have = have[min(n, int64(len(have))):]
			continue
		}
		if !skipping && (at+headerSize < size || len(bytes.Trim(have[:headerSize], "\x00")) > 0) {
			skipping = true
			damaged++
		}
		at += align
		have = have[align:]
	}
	return list, end, damaged, nil
}

// writeAside writes a file under another name, and gives it its own when it is on the disk.
func writeAside(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return errors.Join(err, removeFile(path+".new"))
	}
	return nil
}

// removeFile removes a file that need not be there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Disk) path(number uint32, kind string) string {
	return filepath.Join(d.o.Dir, fmt.Sprintf("%010d.%s", number, kind))
}
