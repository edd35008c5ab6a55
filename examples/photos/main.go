// Command photos is a photo-sharing site: the demonstration of what weir is put in front of. It is a plain Go program
// over an embedded SQLite database (or PostgreSQL, by its URL) and knows nothing of weir: it serves HTTP where $SOCKET or
// $PORT says, and several processes of it may share one database.
//
// The first process to start on an empty database makes 100,000 users and 1,000,000 photos while others wait for it. A
// made photo is a row with a seed; its picture is drawn when someone first looks at it, and is kept in the database.
//
// The files: store.go and queries.go are the database, seed.go fills it, draw*.go make pictures, site.go has the
// addresses, pages.go, account.go and upload.go answer them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = `photos is a photo-sharing site.

	photos serve [flags]    serve it (makes the users and photos first, if there are none)
	photos seed  [flags]    make the users and photos, if there are none

Flags:
`

// options are the command line's.
type options struct {
	listen        string
	data, db      string
	users, photos int
}

func main() {
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:], os.Getenv)
	release()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled): // told to stop while it was filling the database
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "photos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env func(string) string) error {
	verb := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	if verb != "serve" && verb != "seed" {
		return fmt.Errorf("there is no %q: say photos serve or photos seed", verb)
	}
	o, err := parse(args, env, os.Stderr)
	if err != nil {
		return err
	}
	s, err := openStore(ctx, o.db)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.fill(ctx, o.users, o.photos, newBar(os.Stderr)); err != nil {
		return err
	}
	if verb == "seed" {
		return nil
	}
	l, err := open(address(o.listen, env))
	if err != nil {
		return err
	}
	slog.Info("serving", "address", l.Addr().String())
	return serve(ctx, l, newSite(s).handler())
}

func parse(args []string, env func(string) string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("photos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, usage); flags.PrintDefaults() }
	flags.StringVar(&o.listen, "listen", "", "host:port or unix:PATH (default $SOCKET, then 127.0.0.1:$PORT, then 127.0.0.1:8000)")
	flags.StringVar(&o.data, "data", "", "folder of the database (default $XDG_DATA_HOME/photos, then ./.run/photos)")
	flags.StringVar(&o.db, "db", "", "SQLite file or postgres:// URL (default $DATABASE_URL, then photos.db in the data folder)")
	flags.IntVar(&o.users, "users", 100_000, "users to make in an empty database")
	flags.IntVar(&o.photos, "photos", 1_000_000, "photos to make in an empty database")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.users < 1 || o.photos < 0 || o.users > 10_000_000 || o.photos > 100_000_000 {
		return o, fmt.Errorf("-users %d -photos %d: give 1 to 10,000,000 users and at most 100,000,000 photos", o.users, o.photos)
	}
	if o.data == "" {
		o.data = filepath.Join(".run", "photos")
		if home := env("XDG_DATA_HOME"); home != "" {
			o.data = filepath.Join(home, "photos")
		}
	}
	if o.db == "" {
		o.db = env("DATABASE_URL")
	}
	if o.db == "" {
		o.db = filepath.Join(o.data, "photos.db")
	}
	return o, nil
}

// serve answers until the context ends, then lets requests under way finish.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute, // an upload over a slow line
		IdleTimeout:       10 * time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		return fmt.Errorf("finishing requests: %w", err)
	}
	return nil
}

// address picks where to listen, as network and address.
func address(flag string, env func(string) string) (network, address string) {
	switch {
	case strings.HasPrefix(flag, "unix:"):
		return "unix", strings.TrimPrefix(flag, "unix:")
	case flag != "":
		return "tcp", flag
	case env("SOCKET") != "":
		return "unix", env("SOCKET")
	case env("PORT") != "":
		return "tcp", "127.0.0.1:" + env("PORT")
	}
	return "tcp", "127.0.0.1:8000"
}

func open(network, address string) (net.Listener, error) {
	if network == "unix" {
		// The socket of a process that was killed is still there, and bind refuses a name that exists.
		if at, err := os.Lstat(address); err == nil && at.Mode()&os.ModeSocket != 0 {
			if err := os.Remove(address); err != nil {
				return nil, fmt.Errorf("removing the old socket: %w", err)
			}
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("opening the listener: %w", err)
	}
	return l, nil
}
