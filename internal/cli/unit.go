package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/config"
)

func unitCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unit FILE",
		Short: "Print a systemd unit that runs a configuration",
		Long: "Print a unit for systemd that runs a configuration with no more rights than it needs: weir tells systemd when it\n" +
			"serves, is watched for signs of life, and is reloaded by `systemctl reload`. With --socket, print the socket unit with\n" +
			"which systemd itself listens, so that connections wait even while weir is stopped.",
		Example:           "  weir unit /etc/weir/site.yaml > /etc/systemd/system/weir.service\n  weir unit --socket /etc/weir/site.yaml > /etc/systemd/system/weir.socket",
		ValidArgsFunction: completeFile,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("a unit is for one configuration file: write weir unit FILE")
			}
			return nil
		},
	}
	socket := c.Flags().Bool("socket", false, "the socket unit")
	user := c.Flags().String("user", "weir", "the `user` that weir runs as when no app has a user of its own")
	c.RunE = func(c *cobra.Command, args []string) error {
		file, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		cfg, wrong, err := configOf(file) // a machine need not have yet what it names: the unit itself makes the cache's directory
		if err != nil {
			return err
		}
		for _, e := range wrong { // that site is not served; the others are
			c.PrintErrln(e)
		}
		if *socket {
			_, err = io.WriteString(c.OutOrStdout(), socketUnit(cfg))
			return err
		}
		program, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		_, err = io.WriteString(c.OutOrStdout(), serviceUnit(cfg, program, file, *user))
		return err
	}
	return c
}

func socketUnit(cfg *config.Config) string {
	var b strings.Builder
	b.WriteString("[Unit]\nDescription=Sockets of weir\n\n[Socket]\n")
	for _, l := range cfg.Listen {
		address := l.Address
		if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
			address = port // every address, of both families
		}
		fmt.Fprintf(&b, "ListenStream=%s\n", unitWord(address))
	}
	b.WriteString("Backlog=4096\nNoDelay=true\n\n[Install]\nWantedBy=sockets.target\n")
	return b.String()
}

// stopMargin is what systemd gives weir beyond the time that requests and workers get, in seconds.
const stopMargin = 15

func serviceUnit(cfg *config.Config, program, file, user string) string {
	var b strings.Builder
	b.WriteString("[Unit]\nDescription=weir, the web tier of " + unitWord(filepath.Base(file)) + "\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\n")
	line := func(text string) { b.WriteString(text + "\n") }
	line("Type=notify")
	line("NotifyAccess=main")
	line(fmt.Sprintf("ExecStart=%s run %s", unitQuote(program), unitQuote(file)))
	line(fmt.Sprintf("ExecReload=%s reload", unitQuote(program)))
	line("Environment=WEIR_RUN_DIR=/run/weir")
	line("RuntimeDirectory=weir")
	line("RuntimeDirectoryMode=0755")
	line("RuntimeDirectoryPreserve=restart")
	if cfg.Admin != nil && cfg.Admin.Keep == "" {
		line("StateDirectory=weir")
	}
	line("# weir stops the edge and the workers in order; what is left of them after that is killed.")
	line("KillMode=mixed")
	line("TimeoutStopSec=" + strconv.Itoa(stopTime(cfg)))
	line("TimeoutStartSec=" + strconv.Itoa(startTime(cfg)))
	line("WatchdogSec=30")
	line("Restart=always")
	line("RestartSec=1")
	line("# A worker that is out of memory is weir's to replace; the site goes on.")
	line("OOMPolicy=continue")
	line("LimitNOFILE=1048576")
	b.WriteString("\n")
	rights(&b, cfg, user)
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	return b.String()
}

// rights are the lines that take from the service what the configuration does not need.
func rights(b *strings.Builder, cfg *config.Config, user string) {
	line := func(text string) { b.WriteString(text + "\n") }
	users := slices.ContainsFunc(cfg.Apps, func(a *config.App) bool { return a.User != "" })
	var capabilities []string
	if users {
		line("# Apps have users of their own: root starts them, and keeps no more than that takes.")
		capabilities = append(capabilities, "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_SYS_RESOURCE")
	} else {
		line("User=" + unitWord(user))
	}
	if slices.ContainsFunc(cfg.Listen, lowPort) {
		capabilities = append(capabilities, "CAP_NET_BIND_SERVICE")
		if !users {
			line("AmbientCapabilities=CAP_NET_BIND_SERVICE")
		}
	}
	line("CapabilityBoundingSet=" + strings.Join(capabilities, " "))
	if !users {
		line("NoNewPrivileges=true")
	}
	if cfg.Cache != nil && cfg.Cache.Disk != nil {
		if name, ok := strings.CutPrefix(cfg.Cache.Disk.Path, "/var/cache/"); ok {
			line("CacheDirectory=" + unitWord(name))
		} else {
			line("ReadWritePaths=" + unitQuote(cfg.Cache.Disk.Path))
		}
	}
	line("# Directories of the system are read only; the apps' own are not. ProtectSystem=strict with ReadWritePaths= is tighter.")
	for _, text := range []string{"ProtectSystem=full", "ProtectControlGroups=true", "ProtectKernelTunables=true", "ProtectKernelModules=true", "ProtectKernelLogs=true", "ProtectClock=true", "ProtectHostname=true",
		"PrivateDevices=true", "RestrictNamespaces=true", "RestrictRealtime=true", "RestrictSUIDSGID=true", "LockPersonality=true",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "SystemCallArchitectures=native"} {
		line(text)
	}
}

func lowPort(l config.Listen) bool {
	_, port, err := net.SplitHostPort(l.Address)
	n, perr := strconv.Atoi(port)
	return err == nil && perr == nil && n > 0 && n < 1024
}

// stopTime is how long a stop may take: the drain, and the slowest app behind it.
func stopTime(cfg *config.Config) int {
	slowest := 0.0
	for _, a := range cfg.Apps {
		slowest = max(slowest, a.Stop.Within.Seconds())
	}
	return int(cfg.Timeouts.Drain.Seconds()+slowest) + stopMargin
}

// startTime is how long the first workers may take to get ready, and be tried again.
func startTime(cfg *config.Config) int {
	slowest := 0.0
	for _, a := range cfg.Apps {
		slowest = max(slowest, a.Ready.Within.Seconds())
	}
	return 3*int(slowest) + stopMargin
}

// unitWord has systemd take a text as it is: % begins a specifier.
func unitWord(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// unitQuote is unitWord for a word of a command line or a list.
func unitQuote(text string) string {
	text = unitWord(text)
	if !strings.ContainsAny(text, " \t\"'\\$;") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$").Replace(text) + `"`
}
