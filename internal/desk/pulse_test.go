package desk

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// TestPulse: who makes pictures gives signs of life, and who makes none gives none.
func TestPulse(t *testing.T) {
	keeper, theirs, err := api.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	conn, err := api.Conn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var p pulse
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); p.beat(conn, end) }()
	beats := func(within time.Duration) error {
		if err := keeper.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, err := keeper.Read(make([]byte, 16))
		return err
	}
	p.Look(nil)
	if err := beats(20 * time.Second); err != nil {
		t.Error("no sign of life:", err)
	}
	if err := beats(5 * every / 2); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a sign of life without a picture:", err)
	}
	p.Look(nil)
	if err := beats(20 * time.Second); err != nil {
		t.Error("no sign of life:", err)
	}
	close(end)
	<-ended
}
