package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// daemon is a database's server in a directory of its own, under a user that is not root.
type daemon struct {
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd
	log  string
}

// as lets a command run under the databases' own user when the test is root's: PostgreSQL refuses to run as root.
func as(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return cmd
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

// databaseDir makes a directory that the databases' user may use. A test's own is below one that only root may enter.
func databaseDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-db-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if u, err := user.Lookup("postgres"); err == nil && os.Geteuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		if err := os.Chown(dir, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	_, port, _ := net.SplitHostPort(testkit.FreeAddress(t))
	dir := databaseDir(t)
	return &daemon{t: t, dir: dir, port: port, log: filepath.Join(dir, "log")}
}

func (d *daemon) address() string { return "127.0.0.1:" + d.port }

// start runs the server until the test's end, or stop.
func (d *daemon) start(program string, args ...string) {
	d.t.Helper()
	d.cmd = as(d.t, exec.Command(program, args...))
	d.cmd.Dir = d.dir
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd := d.cmd
	d.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGQUIT)
			cmd.Wait()
		}
	})
}

// stop ends the server at once, as a machine that dies does.
func (d *daemon) stop() {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGQUIT) // of PostgreSQL: immediate shutdown
	d.cmd.Wait()
}

func (d *daemon) said() string {
	b, _ := os.ReadFile(d.log)
	return string(b)
}

// run runs a program to its end.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := as(t, exec.Command(program, args...))
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=5", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func must(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := run(t, program, args...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return out
}

// postgresBin is where a program of the distribution's PostgreSQL is.
func postgresBin(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatalf("there is no %s: install postgresql", name)
	}
	return found[len(found)-1]
}

func (d *daemon) startPostgres() {
	d.t.Helper()
	d.start(postgresBin(d.t, "postgres"), "-D", d.dir+"/data", "-p", d.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "hot_standby=on", "-c", "max_wal_senders=4")
	d.awaitPostgres()
}

func (d *daemon) awaitPostgres() {
	d.t.Helper()
	testkit.Eventually(d.t, 30*time.Second, "PostgreSQL answers", func() bool {
		_, err := run(d.t, "psql", "-h", "127.0.0.1", "-p", d.port, "-U", "app", "-d", "postgres", "-c", "select 1")
		return err == nil
	})
}

// postgresPair makes a primary and a standby that follows it.
func postgresPair(t *testing.T) (primary, standby *daemon) {
	t.Helper()
	primary, standby = newDaemon(t), newDaemon(t)
	must(t, postgresBin(t, "initdb"), "-D", primary.dir+"/data", "-U", "app", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C")
	hba := "host all check 127.0.0.1/32 scram-sha-256\nhost all old 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(primary.dir+"/data/pg_hba.conf", []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	primary.startPostgres()
	primary.sql("create role check_me; create role \"check\" login password 'Ab9!secret'; create table notes (n int, at int)")
	must(t, postgresBin(t, "pg_basebackup"), "-h", "127.0.0.1", "-p", primary.port, "-U", "app", "-D", standby.dir+"/data", "-R", "-c", "fast", "--no-sync")
	standby.startPostgres()
	return primary, standby
}

// sql runs a statement at the server itself.
func (d *daemon) sql(text string) string {
	d.t.Helper()
	return must(d.t, "psql", "-h", "127.0.0.1", "-p", d.port, "-U", "app", "-d", "postgres", "-Atc", text)
}

// through runs a statement by way of weir.
func through(t *testing.T, address, text string) (string, error) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	return run(t, "psql", "-h", host, "-p", port, "-U", "app", "-d", "postgres", "-Atc", text)
}

// tcpSite answers HTTP, so that it is known when weir serves, and has the further lines given.
const tcpSite = `
listen: "@ADDRESS@"
sites: [{hosts: ["*"], routes: [{respond: {body: ok}}]}]
`

// psql is a session that lasts.
type psql struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func openPsql(t *testing.T, address string) *psql {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	p := &psql{t: t, cmd: as(t, exec.Command("psql", "-h", host, "-p", port, "-U", "app", "-d", "postgres", "-AtX"))}
	p.cmd.Dir = "/"
	p.in, _ = p.cmd.StdinPipe()
	out, _ := p.cmd.StdoutPipe()
	p.out = bufio.NewReader(out)
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.in.Close(); p.cmd.Wait() })
	return p
}

// ask sends a statement and returns the first line of what comes back.
func (p *psql) ask(text string) string {
	p.t.Helper()
	io.WriteString(p.in, text+"\n")
	line, err := p.out.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// writers write by way of weir until they are stopped, and note at which server each write went.
type writers struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	at   []string // the servers' ports, in the order of the answers
	bad  int
}

func startWriters(t *testing.T, address string, n int) *writers {
	w := &writers{stop: make(chan struct{})}
	for range n {
		w.done.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				out, err := through(t, address, "insert into notes values (1, inet_server_port()) returning at")
				w.mu.Lock()
				if port, _, _ := strings.Cut(out, "\n"); err == nil {
					w.at = append(w.at, port)
				} else {
					w.bad++
				}
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *writers) count(port string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.at {
		if p == port {
			n++
		}
	}
	return n
}

// TestPostgres: traffic goes to the primary alone, follows a promotion while the old primary still says that it is one, and does
// not go back to that when it is restarted.
func TestPostgres(t *testing.T) {
	primary, standby := postgresPair(t)
	address, replicas := testkit.FreeAddress(t), testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Env: []string{"CHECK_PASSWORD=Ab9!secret"}, Config: tcpSite + fmt.Sprintf(`
tcp:
  - {listen: "%s", pool: db}
  - {listen: "%s", pool: reads}
pools:
  db:
    protocol: tcp
    servers: ["%s", "%s"]
    health: {type: postgres, user: check, password: "${CHECK_PASSWORD}", every: 200ms, fast: 100ms, timeout: 5s}
  reads:
    protocol: tcp
    servers: ["%[3]s", "%[4]s"]
    health: {type: postgres, role: replica, user: check, password: "${CHECK_PASSWORD}", every: 200ms, fast: 100ms, timeout: 5s}
`, address, replicas, primary.address(), standby.address())})

	if out, err := through(t, replicas, "select inet_server_port()"); err != nil || out != standby.port {
		t.Errorf("reads went to %s, %v", out, err)
	}
	session := openPsql(t, address)
	if got := session.ask("select inet_server_port();"); got != primary.port {
		t.Fatalf("the session is at %s; the primary is %s", got, primary.port)
	}
	load := startWriters(t, address, 2)
	testkit.Eventually(t, 20*time.Second, "writes go to the primary", func() bool { return load.count(primary.port) > 10 })

	standby.sql("select pg_promote()") // and the old one goes on
	testkit.Eventually(t, 20*time.Second, "writes go to the new primary", func() bool { return load.count(standby.port) > 10 })
	if got := session.ask("select inet_server_port();"); got == primary.port {
		t.Error("a session is at the old primary still")
	}
	primary.stop()
	primary.startPostgres() // it comes back as it was, and says that it is the primary
	testkit.Eventually(t, 20*time.Second, "the old primary is told apart", func() bool {
		out, _, _ := w.Command("status")
		return strings.Contains(out, "another server is the primary")
	})
	before := load.count(standby.port)
	testkit.Eventually(t, 20*time.Second, "writes go on", func() bool { return load.count(standby.port) > before+10 })
	close(load.stop)
	load.done.Wait()

	moved, back := false, 0
	for _, port := range load.at {
		moved = moved || port == standby.port
		if moved && port == primary.port {
			back++
		}
	}
	// Two write at a time: the answer of the other one, which was under way, may come late.
	if back > 1 {
		t.Errorf("%d writes went to the old primary after the first at the new one", back)
	}
	t.Logf("%d writes at the old primary, %d at the new one, %d failed while it changed", load.count(primary.port), load.count(standby.port), load.bad)
	if n := standby.sql("select count(*) from notes where at = " + standby.port); n != strconv.Itoa(load.count(standby.port)) {
		t.Errorf("the new primary has %s writes, and told of %d", n, load.count(standby.port))
	}
	if out := w.Output() + primary.said() + standby.said(); strings.Contains(out, "Ab9!secret") {
		t.Error("the password is in a log")
	}
}

// redisCLI asks a server.
func (d *daemon) redisCLI(words ...string) string {
	d.t.Helper()
	return must(d.t, "redis-cli", append([]string{"-p", d.port, "-a", "pass word", "--no-auth-warning"}, words...)...)
}

func (d *daemon) startRedis(more ...string) {
	d.t.Helper()
	d.start("redis-server", append([]string{"--port", d.port, "--bind", "127.0.0.1", "--save", "", "--dir", d.dir, "--requirepass", "pass word", "--masterauth", "pass word",
		"--repl-diskless-sync-delay", "0"}, more...)...)
	testkit.Eventually(d.t, 20*time.Second, "Redis answers", func() bool {
		out, err := run(d.t, "redis-cli", "-p", d.port, "-a", "pass word", "--no-auth-warning", "ping")
		return err == nil && out == "PONG"
	})
}

// TestRedis: traffic goes to the primary alone, follows a failover, and not back to the old one, which comes back and says that it is
// the primary too.
func TestRedis(t *testing.T) {
	primary, replica := newDaemon(t), newDaemon(t)
	primary.startRedis()
	replica.startRedis("--replicaof", "127.0.0.1 "+primary.port)
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: tcpSite + fmt.Sprintf(`
tcp: [{listen: "%s", pool: cache}]
pools:
  cache: {protocol: tcp, servers: ["%s", "%s"], health: {type: redis, password: pass word, every: 200ms, fast: 100ms}}
`, address, replica.address(), primary.address())})
	at := func() string {
		host, port, _ := net.SplitHostPort(address)
		out, _ := run(t, "redis-cli", "-h", host, "-p", port, "-a", "pass word", "--no-auth-warning", "config", "get", "port")
		_, is, _ := strings.Cut(out, "\n")
		return is
	}
	if got := at(); got != primary.port {
		t.Fatalf("it leads to %q, and the primary is %s", got, primary.port)
	}
	session := testkit.Dial(t, address)
	session.Send("AUTH \"pass word\"\r\n")
	session.Expect("+OK\r\n")

	primary.stop()
	replica.redisCLI("replicaof", "no", "one")
	testkit.Eventually(t, 20*time.Second, "the new primary is used", func() bool { return at() == replica.port })
	session.Closed()

	primary.startRedis() // it says that it is the primary
	testkit.Eventually(t, 20*time.Second, "the old primary is told apart", func() bool {
		out, _, _ := w.Command("status")
		return strings.Contains(out, "another server is the primary")
	})
	for range 10 {
		if got := at(); got != replica.port {
			t.Fatalf("it leads to %q, and the primary is %s", got, replica.port)
		}
	}
	if !strings.Contains(w.Output(), "two servers say that they are the primary") {
		t.Error("nobody was told of two primaries")
	}
	primary.redisCLI("replicaof", "127.0.0.1", replica.port)
	testkit.Eventually(t, 20*time.Second, "the old primary is a replica", func() bool {
		out, _, _ := w.Command("status")
		return strings.Contains(out, "it is a replica, not the primary")
	})
	if strings.Contains(w.Output(), "pass word") {
		t.Error("the password is in the log")
	}
}
