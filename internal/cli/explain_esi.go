package cli

import (
	"strings"

	"github.com/weirhq/weir/internal/config"
)

// includes says what becomes of <esi:include> in the answers.
func (e *explanation) includes(c *config.ESI) {
	if c == nil {
		return
	}
	hosts := append([]string{"this host"}, c.Hosts...)
	last := len(hosts) - 1
	from := hosts[last]
	if last > 0 {
		from = strings.Join(hosts[:last], ", ") + " and " + from
	}
	e.line("esi", "includes in %s from %s; at most %d, %d deep", strings.Join(c.Types, ", "), from, c.Includes, c.Depth)
}
