package esi

import "testing"

func TestAsked(t *testing.T) {
	for value, want := range map[string]bool{
		`content="ESI/1.0"`:                                          true,
		`max-age=60, content="ESI/1.0"`:                              true,
		`no-store , content = "ESI-INV/1.0 ESI/1.0 X/1.0",max-age=1`: true,
		`content=ESI/1.0`:                                            true,
		`content="ESI/1.1"`:                                          false,
		`content="ESI-INV/1.0"`:                                      false,
		`contents="ESI/1.0"`:                                         false,
		`x="a, content=ESI/1.0"`:                                     false,
		`content`:                                                    false,
		``:                                                           false,
	} {
		if got := Asked([]byte(value)); got != want {
			t.Errorf("%s: %v", value, got)
		}
	}
	if !Asked([]byte("content=" + Capability[len("weir="):])) {
		t.Error("weir does not understand its own word")
	}
}
