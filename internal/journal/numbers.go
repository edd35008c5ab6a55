package journal

// How many words there are of each kind, for those who count by them.
const (
	NumCauses   = int(numCauses)
	NumCaches   = int(numCaches)
	NumSessions = int(numSessions)
)

// appendTrace appends which trace a request is part of, if any.
func appendTrace(dst []byte, id *[16]byte) []byte {
	if *id == [16]byte{} {
		return dst
	}
	dst = append(dst, `,"trace":"`...)
	for _, b := range id {
		dst = append(dst, hex[b>>4], hex[b&15])
	}
	return append(dst, '"')
}
