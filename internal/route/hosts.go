package route

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// A domain name has at most 253 bytes (RFC 1035, section 2.3.4). A longer host is looked up only as "*", so that a
// long one cannot make the table hash its every suffix.
const maxHost = 255

// hosts maps host names to sites. Every look-up is one map access for the exact name and, when that fails, one for
// each label that could begin a wildcard.
type hosts struct {
	exact    map[string]*Site
	wildcard map[string]*Site // by the suffix with its dot: ".example.com" for "*.example.com"
	every    *Site            // "*"
}

func newHosts() hosts {
	return hosts{exact: map[string]*Site{}, wildcard: map[string]*Site{}}
}

// add enters a host as the configuration spells it.
func (h *hosts) add(name string, s *Site) error {
	name, kind, err := hostKey(name)
	if err != nil {
		return err
	}
	var old *Site
	switch kind {
	case "every":
		old, h.every = h.every, s
	case "wildcard":
		old, h.wildcard[name] = h.wildcard[name], s
	default:
		old, h.exact[name] = h.exact[name], s
	}
	if old != nil {
		return fmt.Errorf("host %q is already in site %q: a host belongs to one site", strings.TrimPrefix(name, "."), old.Name)
	}
	return nil
}

// hostKey brings a configured host into the form in which requests are looked up.
func hostKey(name string) (key, kind string, err error) {
	lower := strings.TrimSuffix(strings.ToLower(name), ".")
	switch {
	case lower == "*":
		return "*", "every", nil
	case lower == "":
		return "", "", fmt.Errorf("host %q is empty: write a name, \"*.\" and a name, or \"*\"", name)
	case strings.HasPrefix(lower, "*.") && len(lower) > 2 && !strings.Contains(lower[1:], "*"):
		return lower[1:], "wildcard", nil
	case strings.Contains(lower, "*"):
		return "", "", fmt.Errorf("host %q: a \"*\" stands alone or for the first labels, as in \"*.example.com\"", name)
	case len(lower) > maxHost:
		return "", "", fmt.Errorf("host %q is longer than %d bytes", name, maxHost)
	}
	if a, err := netip.ParseAddr(strings.Trim(lower, "[]")); err == nil && a.Is6() {
		return "[" + a.WithZone("").String() + "]", "exact", nil
	}
	if i := strings.IndexAny(lower, ":/ "); i >= 0 {
		return "", "", fmt.Errorf("host %q has a %q: write the name alone, without scheme, port or path", name, lower[i])
	}
	return lower, "exact", nil
}

// find returns the site of a request's host: exact before the longest wildcard before "*"; nil when there is none.
func (h *hosts) find(host []byte) *Site {
	s, _ := h.lookup(host)
	return s
}

// lookup also returns where in host the wildcard began: 0 for an exact name, -1 for "*" or none.
func (h *hosts) lookup(host []byte) (*Site, int) {
	// A name may end with the root's dot (RFC 3986, section 3.2.2): the same host.
	if n := len(host); n > 1 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) == 0 || len(host) > maxHost {
		return h.every, -1
	}
	if s := h.exact[string(host)]; s != nil {
		return s, 0
	}
	if host[0] == '[' {
		return h.literal(host), -1
	}
	if len(h.wildcard) > 0 {
		// The first label must be there: ".example.com" is under no wildcard.
		for i := 1; i < len(host); i++ {
			if host[i] != '.' {
				continue
			}
			if s := h.wildcard[string(host[i:])]; s != nil {
				return s, i
			}
		}
	}
	return h.every, -1
}

// literal finds an IPv6 literal that is not spelled as RFC 5952 recommends.
func (h *hosts) literal(host []byte) *Site {
	a, err := netip.ParseAddr(string(bytes.Trim(host, "[]")))
	if err != nil {
		return h.every
	}
	if s := h.exact["["+a.WithZone("").String()+"]"]; s != nil {
		return s
	}
	return h.every
}
