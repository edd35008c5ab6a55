package cli

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
)

func TestUnit(t *testing.T) {
	const app = "listen: {http: [\":80\"]}\napps: {web: {command: /bin/true, stop: {within: 20s}, ready: {within: 40s}}}\n"
	for _, c := range []struct {
		name, config string
		args         []string
		has, hasNot  []string
	}{
		{"plain", app, nil,
			[]string{"Type=notify\n", "User=weir\n", "AmbientCapabilities=CAP_NET_BIND_SERVICE\n", "NoNewPrivileges=true\n", "WatchdogSec=", "TimeoutStopSec=65\n", "TimeoutStartSec=135\n", "OOMPolicy=continue\n"},
			[]string{"CAP_SETUID", "CacheDirectory"}},
		{"users", strings.Replace(app, "command", "user: nobody, command", 1), nil,
			[]string{"CAP_SETUID", "CAP_NET_BIND_SERVICE\n"}, []string{"User=", "NoNewPrivileges", "Ambient"}},
		{"high port", strings.Replace(app, ":80", ":8080", 1), []string{"--user", "site"},
			[]string{"User=site\n", "CapabilityBoundingSet=\n"}, []string{"CAP_NET_BIND_SERVICE"}},
		{"a cache that is not there yet", app + "cache: {disk: {path: /var/cache/weir-is-to-be, size: 1GiB}}\n", nil,
			[]string{"CacheDirectory=weir-is-to-be\n"}, []string{"ReadWritePaths=/"}},
		{"a status page", app + "admin: {}\n", nil, []string{"StateDirectory=weir\n"}, nil},
		{"its folder is named", app + "admin: {keep: /data/weir}\n", nil, nil, []string{"StateDirectory"}},
		{"socket", strings.Replace(app, ":80", ":80\", \"127.0.0.1:8080\", \"unix:/run/weir/100%.sock", 1), []string{"--socket"},
			[]string{"ListenStream=80\n", "ListenStream=127.0.0.1:8080\n", "ListenStream=/run/weir/100%%.sock\n"}, []string{"ExecStart"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := say(t, append([]string{"unit", write(t, c.config)}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.has {
				if !strings.Contains(out, want) {
					t.Errorf("it has no %q:\n%s", want, out)
				}
			}
			for _, not := range c.hasNot {
				if strings.Contains(out, not) {
					t.Errorf("it has %q:\n%s", not, out)
				}
			}
		})
	}
}

// TestUnitOfADisk: a directory below /var/cache is systemd's to make, another has to be allowed.
func TestUnitOfADisk(t *testing.T) {
	for path, want := range map[string]string{
		"/var/cache/weir/one": "CacheDirectory=weir/one\n",
		"/data/a b":           "ReadWritePaths=\"/data/a b\"\n",
		"/data/100%":          "ReadWritePaths=/data/100%%\n",
	} {
		cfg := &config.Config{Cache: &config.Cache{Disk: &config.CacheDisk{Path: path}}}
		if out := serviceUnit(cfg, "/usr/bin/weir", "/etc/weir/site.yaml", "weir"); !strings.Contains(out, want) {
			t.Errorf("%s: it has no %q:\n%s", path, want, out)
		}
	}
}
