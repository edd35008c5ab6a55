package keeper

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(table, port, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue // it has ended meanwhile
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// listening adds the sockets of a table of /proc/net that listen on a port, as /proc/PID/fd names them.
func listening(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // only read
	const listen = "0A"
	for in := bufio.NewScanner(f); in.Scan(); {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
		w := strings.Fields(in.Text())
		if len(w) < 10 || w[3] != listen {
			continue
		}
		_, text, _ := strings.Cut(w[1], ":")
		b, err := hex.DecodeString(text)
		if err == nil && len(b) == 2 && int(b[0])<<8|int(b[1]) == port {
			if _, err := strconv.ParseUint(w[9], 10, 64); err == nil {
				inodes["socket:["+w[9]+"]"] = true
			}
		}
	}
}
