package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t *testing.T) (keeper, edge *net.UnixConn) {
	t.Helper()
	keeper, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	edge, err = Conn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keeper.Close(); edge.Close() })
	return keeper, edge
}

func openFiles(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestHandoverCarriesEveryDescriptorInOrder(t *testing.T) {
	for _, count := range []int{0, 1, 63, 64, 65, 200} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			keeper, edge := pair(t)
			dir := t.TempDir()
			var files []*os.File
			for i := range count {
				f, err := os.Create(fmt.Sprintf("%s/%d", dir, i))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				fmt.Fprint(f, i)
				files = append(files, f)
			}
			before := openFiles(t)
			want := Handover{Kind: "listener", Network: "tcp", Address: ":80"}
			if err := SendHandover(keeper, want, files...); err != nil {
				t.Fatal(err)
			}
			got, taken, err := ReceiveHandover(edge)
			if err != nil || got != want || len(taken) != count {
				t.Fatalf("got %+v with %d files, %v", got, len(taken), err)
			}
			for i, f := range taken {
				b := make([]byte, 8)
				n, err := f.ReadAt(b, 0)
				if !errors.Is(err, io.EOF) || string(b[:n]) != fmt.Sprint(i) {
					t.Errorf("file %d holds %q, %v", i, b[:n], err)
				}
			}
			closeAll(taken)
			if n := openFiles(t); n != before {
				t.Errorf("%d descriptors open, before %d", n, before)
			}
		})
	}
}

func TestStateOfAnySize(t *testing.T) {
	keeper, edge := pair(t)
	want := EdgeState{Version: 7, Source: Source{Path: "f", Text: strings.Repeat("line\n", 1<<18)}, Workers: []Worker{{"web", "web/1.1", "unix:/x", "ready"}}}
	if err := SendState(keeper, want); err != nil {
		t.Fatal(err)
	}
	h, files, err := ReceiveHandover(edge)
	if err != nil || h.Kind != "state" || len(files) != 1 {
		t.Fatal(h, files, err)
	}
	got, err := ReadState(files[0])
	if err != nil || got.Source.Text != want.Source.Text || got.Version != 7 || got.Workers[0] != want.Workers[0] {
		t.Fatal("another state came out", err)
	}
}

func TestStateThatNobodyReadsEndsItsWriter(t *testing.T) { // goleak in TestMain sees the writer if it stays
	keeper, edge := pair(t)
	if err := SendState(keeper, EdgeState{Source: Source{Text: strings.Repeat("x", 1<<20)}}); err != nil {
		t.Fatal(err)
	}
	_, files, err := ReceiveHandover(edge)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(files)
}

func TestReports(t *testing.T) {
	keeper, edge := pair(t)
	long := strings.Repeat("\x01", 1<<20)
	for _, r := range []Report{{Ready: true}, {Error: "no"}, {Error: long}} {
		if err := SendReport(edge, r); err != nil {
			t.Fatal(err)
		}
		got, err := ReceiveReport(keeper)
		if err != nil || got.Ready != r.Ready || (r.Error == "") != (got.Error == "") {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	edge.Close()
	if _, err := ReceiveReport(keeper); err != io.EOF {
		t.Fatal(err)
	}
}

func TestKeeperGoneIsEOF(t *testing.T) {
	keeper, edge := pair(t)
	keeper.Close()
	if _, _, err := ReceiveHandover(edge); err != io.EOF {
		t.Fatal(err)
	}
}

func TestHandoverCutInTwoIsAnErrorAndLeaksNothing(t *testing.T) {
	keeper, edge := pair(t)
	before := openFiles(t)
	body, err := json.Marshal(packet{Handover{Kind: "listener"}, true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := sendRights(keeper, body, []*os.File{f}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	keeper.Close()
	if _, _, err := ReceiveHandover(edge); err == nil || err == io.EOF {
		t.Fatal(err)
	}
	if n := openFiles(t); n != before-1 { // the keeper's end is closed
		t.Errorf("%d descriptors open, before %d", n, before)
	}
}

func TestNonsenseFromThePeer(t *testing.T) {
	keeper, edge := pair(t)
	if _, err := keeper.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReceiveHandover(edge); err == nil || !strings.Contains(err.Error(), "reading a message") {
		t.Fatal(err)
	}
	if _, err := edge.Write(make([]byte, messageSize+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReceiveReport(keeper); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Fatal(err)
	}
}
