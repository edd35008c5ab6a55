package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/app/script"
)

// cgiCommand is the worker of a route with cgi:. `weir run` starts it.
func cgiCommand() *cobra.Command {
	var opt script.Options
	c := &cobra.Command{
		Use:    "cgi [PROGRAM ARGUMENT ...]",
		Short:  "Run a program for each request on the socket that weir run names",
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			path := os.Getenv("SOCKET")
			if path == "" || opt.Root == "" && len(args) == 0 {
				return errors.New("weir cgi is started by weir run, for a route that has cgi")
			}
			ln, err := net.Listen("unix", path)
			if err != nil {
				return fmt.Errorf("listening: %w", err)
			}
			opt.Argv = args
			opt.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return script.Serve(ctx, ln, opt)
		},
	}
	c.Flags().StringVar(&opt.Root, "root", "", "the directory of programs")
	c.Flags().IntVar(&opt.AtOnce, "at-once", 8, "programs at a time")
	c.Flags().DurationVar(&opt.Within, "within", 30*time.Second, "how long one may take")
	return c
}
