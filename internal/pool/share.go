package pool

import "sync/atomic"

// setShare says how much of its configured weight the server has, in thousandths. It stands in for the one that
// tells the balance. Not on a loop, and not under mu.
func (s *Server) setShare(thousandths int) { s.share.Store(int64(thousandths)) }

type shareStandIn struct{ share atomic.Int64 }
