package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
)

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestGuides: the configurations in the guides are good. Parts of one (what begins within a mapping, or has no site) are not looked at,
// except in guides that promise whole files; sites alone are taken to be those of an app.
func TestGuides(t *testing.T) {
	guides, err := filepath.Glob("../../docs/guide/*.md")
	if err != nil || len(guides) == 0 {
		t.Fatal("no guides: ", err)
	}
	env := func(name string) (string, bool) {
		if strings.HasSuffix(name, "_URL") {
			return "https://www.example.com/", true
		}
		return "text-of-a-variable", true
	}
	for _, path := range guides {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole := strings.Contains(string(text), "Each example is a whole file")
		for _, m := range yamlBlock.FindAllSubmatch(text, -1) {
			block := string(m[1])
			if !whole && (block[0] == ' ' || !strings.Contains("\n"+block, "\nsites:")) {
				continue
			}
			if !whole && !strings.Contains("\n"+block, "\napps:") && !strings.Contains("\n"+block, "\npools:") {
				block += "apps: {web: {command: serve $PORT}, site: {command: serve $PORT}}\n"
			}
			if _, _, err := config.Parse(t.TempDir()+"/site.yaml", []byte(block), env); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(path), err, block)
			}
		}
	}
}
