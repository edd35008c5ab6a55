package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// fuzzLimit is the time after which a text counts as endless; most take well under a millisecond.
const fuzzLimit = 5 * time.Second

// FuzzParse: no text is a panic; a text is a configuration or has errors with places; a configuration is the same when
// it is read again with what was recorded.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"testdata/good", "testdata/bad"} {
		for name, text := range examples(f, dir) {
			if name != "laughs" && name != "cycle" { // TestBad has them; a search that begins at them is a hundred times slower
				f.Add([]byte(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		defer time.AfterFunc(fuzzLimit, func() { panic("it took over " + fuzzLimit.String()) }).Stop()
		c, warnings, err := parse("/etc/weir.yaml", text, fakeEnv, fake, true)
		if err == nil {
			for _, w := range warnings {
				if w.String() == "" {
					t.Error("a warning says nothing")
				}
			}
			sameAgain(t, c)
			return
		}
		var all Errors
		if c != nil || !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("%v beside %v", err, c)
		}
		checkErrors(t, string(text), all)
		if bytes.ContainsRune([]byte(err.Error()), 0x1b) {
			t.Error("an escape reaches the terminal")
		}
	})
}

func show(t *testing.T, c *Config) string {
	t.Helper()
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
