package keeper

import (
	"net"

	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// owner names the process that listens on a TCP port, "" when it cannot be found: it may be another user's, or in
// another container.
func owner(spec config.Listen) string {
	_, service, err := net.SplitHostPort(spec.Address)
	if err != nil {
		return ""
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return ""
	}
	for _, h := range app.Holders(port) {
		return h.String()
	}
	return ""
}
