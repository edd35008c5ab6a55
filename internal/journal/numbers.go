package journal

// How many words there are of each kind, for those who count by them.
const (
	NumCauses   = int(numCauses)
	NumCaches   = int(numCaches)
	NumSessions = int(numSessions)
)
