package cache

import (
	"encoding/binary"

	"github.com/weirhq/weir/internal/message"
)

// maxTags is how many tags of a response count.
const maxTags = 256

// Tag is the hash of a tag by which responses are purged.
func (s *Seed) Tag(tag []byte) uint64 {
	k := s.hash(tag)
	return binary.LittleEndian.Uint64(k[:8])
}

// AlikeTag is a tag of what is kept for several queries of a path (No-Vary-Search): a purge of one of these URLs is one of the
// tag, too.
func (s *Seed) AlikeTag(host, path []byte) uint64 {
	return s.Tag(append(append(append([]byte("alike\x00"), host...), 0), path...))
}

// AppendTags appends the hashes of a response's tags: Surrogate-Key (separated by blanks), Cache-Tag (by commas), xkey (either),
// and the groups of RFC 9875, which belong to the host.
func (s *Seed) AppendTags(dst []uint64, f *message.Fields, host []byte) []uint64 {
	for i := range f.List {
		l := &f.List[i]
		switch l.ID {
		case message.SurrogateKey, message.CacheTag, message.XKey:
			for v := l.Value; len(v) > 0 && len(dst) < maxTags; {
				j := 0
				for j < len(v) && v[j] != ',' && (v[j] != ' ' && v[j] != '\t' || l.ID == message.CacheTag) {
					j++
				}
				if t := trimSpace(v[:j]); len(t) > 0 {
					dst = append(dst, s.Tag(t))
				}
				v = v[min(j+1, len(v)):]
			}
		case message.CacheGroups:
			dst = s.appendGroups(dst, l.Value, host)
		}
	}
	return dst
}

// AppendGroups appends the hashes of the groups that a response to an unsafe request says are to be taken out
// (RFC 9875, section 3).
func (s *Seed) AppendGroups(dst []uint64, f *message.Fields, host []byte) []uint64 {
	for i := range f.List {
		if f.List[i].ID == message.CacheGroupInvalidation {
			dst = s.appendGroups(dst, f.List[i].Value, host)
		}
	}
	return dst
}

// appendGroups reads a list of strings (RFC 8941, section 3.1): a list with a fault in it is none.
func (s *Seed) appendGroups(dst []uint64, v, host []byte) []uint64 {
	from := len(dst)
	p := sfParser{b: v}
	p.space(false)
	for p.i < len(v) && len(dst)-from < maxTags {
		at := p.i
		if !p.at('"') {
			return dst[:from]
		}
		if _, _, ok := p.bare(); !ok {
			return dst[:from]
		}
		text := append(append(append([]byte("group\x00"), host...), 0), v[at:p.i]...)
		if !p.parameters() {
			return dst[:from]
		}
		dst = append(dst, s.Tag(text))
		p.space(true)
		if p.i == len(v) {
			break
		}
		if !p.at(',') {
			return dst[:from]
		}
		p.i++
		p.space(true)
	}
	return dst
}
