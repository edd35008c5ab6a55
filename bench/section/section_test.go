package section

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPut: each of the two replaces its own part and leaves the other.
func TestPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	for i, step := range []struct {
		put  func(string, string) error
		text string
		want string
	}{
		{Put, Title + "\n\none\n", "\n\n" + Title + "\n\none\n"},
		{PutBefore, "# Page\n\na\n", "# Page\n\na\n\n" + Title + "\n\none\n"},
		{Put, Title + "\n\ntwo\n", "# Page\n\na\n\n" + Title + "\n\ntwo\n"},
		{PutBefore, "# Page\n\nb\n", "# Page\n\nb\n\n" + Title + "\n\ntwo\n"},
		{PutBefore, "# Page\n\n" + Title + "\n\n### part\n\n## By hand\n\nc\n", ""},
	} {
		if step.want == "" { // what stands behind stays
			if err := os.WriteFile(path, []byte(step.text), 0o644); err != nil {
				t.Fatal(err)
			}
			step.put, step.text, step.want = Put, Title+"\n\nthree\n", "# Page\n\n"+Title+"\n\nthree\n\n## By hand\n\nc\n"
		}
		if err := step.put(path, step.text); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != step.want {
			t.Errorf("step %d: %q, want %q, %v", i, got, step.want, err)
		}
	}
}
