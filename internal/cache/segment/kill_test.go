package segment

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const (
	childDir   = "WEIR_SEGMENT_CHILD"
	killKeys   = 200
	killsShort = 100
)

// killSize is how long the body of a version is.
func killSize(n, version int) int { return (n*7919 + version*104729) % 40_000 }

// TestWriterChild is the process that TestKilled kills: it writes without end and tells what has been written.
func TestWriterChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	s := memory(t)
	d := open(t, Options{Dir: dir, Size: 8 << 20, Inline: 30_000})
	from, err := strconv.Atoi(os.Getenv(childDir + "_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	for version := from; ; version++ {
		n := rand.IntN(killKeys)
		put(t, d, s, n, version, killSize(n, version))
		if version%8 == 0 {
			settled(t, d)
			fmt.Printf("written %d %d\n", n, version)
		}
	}
}

// TestKilled kills a process that writes, a hundred times, and looks at what it has left: never a wrong byte, and what it
// said was written is there. WEIR_KILLS sets how often.
func TestKilled(t *testing.T) {
	kills := killsShort
	if v, err := strconv.Atoi(os.Getenv("WEIR_KILLS")); err == nil {
		kills = v
	}
	dir := t.TempDir()
	version, found, told := 1, 0, 0
	for range kills {
		n, last := killedWriter(t, dir, version)
		d, err := Open(Options{Dir: dir, Size: 8 << 20, Inline: 30_000})
		if err != nil {
			t.Fatal(err)
		}
		for k := range killKeys {
			r, _, _, err := d.Read(keyOf(k), nil)
			if errors.Is(err, ErrNone) {
				if k == n {
					t.Errorf("object %d was written in version %d and is not there", n, last)
				}
				continue
			}
			v := 0
			if _, err := fmt.Sscanf(string(r.Head), fmt.Sprintf("head of %d, %%d", k), &v); err != nil {
				t.Fatalf("object %d: head %q", k, r.Head)
			}
			if body := wholeBody(t, d, &r); !bytes.Equal(body, bodyOf(k, v, killSize(k, v))) {
				t.Fatalf("object %d, version %d: %d bytes that are not its body", k, v, len(body))
			}
			if k == n && v < last {
				t.Errorf("object %d: version %d, and %d was written", k, v, last)
			}
			version = max(version, v+1)
			found++
		}
		if st := d.Stats(); st.Damaged > 1 { // what was being written when it was killed
			t.Errorf("%+v", st)
		}
		if n >= 0 {
			told++
		}
		shut(t, d)
	}
	t.Logf("%d kills, %d objects found after them, the last version is %d", kills, found, version)
	if found < kills*killKeys/4 || told < kills/4 {
		t.Errorf("after %d kills %d objects were found, and %d writers had come to write", kills, found, told)
	}
}

// killedWriter runs a writer for a moment and returns the last object that it told of, -1 if none.
func killedWriter(t *testing.T, dir string, from int) (n, version int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWriterChild$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDir+"_FROM="+strconv.Itoa(from))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	n = -1
	if lines.Scan() { // it is at work
		fmt.Sscanf(lines.Text(), "written %d %d", &n, &version)
		time.AfterFunc(time.Duration(rand.IntN(50))*time.Millisecond, func() { cmd.Process.Kill() })
	}
	for lines.Scan() {
		fmt.Sscanf(lines.Text(), "written %d %d", &n, &version)
	}
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the writer was not killed: %v", err)
	}
	return n, version
}
