package uwsgi

import (
	"bytes"
	"testing"
)

func TestPacket(t *testing.T) {
	dst := Begin([]byte("ab"))
	dst, ok := Append(dst, []byte("A"), []byte("bc"))
	if !ok {
		t.Fatal("it does not fit")
	}
	dst, ok = Append(dst, []byte("EMPTY"), nil)
	if !ok || !End(dst, 2) {
		t.Fatal("it does not fit")
	}
	if want := "ab\x00\x10\x00\x00\x01\x00A\x02\x00bc\x05\x00EMPTY\x00\x00"; string(dst) != want {
		t.Errorf("got %q, want %q", dst, want)
	}
}

func TestLimits(t *testing.T) {
	if dst, ok := Append([]byte("x"), []byte("A"), make([]byte, 1<<16)); ok || string(dst) != "x" {
		t.Error("a value longer than its length can say was taken")
	}
	if _, ok := Append(nil, make([]byte, 1<<16), nil); ok {
		t.Error("a name longer than its length can say was taken")
	}
	for n, want := range map[int]bool{65535: true, 65536: false} {
		dst := append(Begin(nil), bytes.Repeat([]byte("x"), n)...)
		if End(dst, 0) != want {
			t.Errorf("a packet of %d bytes: %v", n, !want)
		}
	}
}
