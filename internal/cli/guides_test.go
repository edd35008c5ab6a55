package cli

import (
	"errors"
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

// What somebody may paste: a line of a block, after a prompt perhaps, or what stands between backticks.
var (
	inBlock  = regexp.MustCompile(`(?m)^(?:[$#] )?(?:WEIR_TOKEN=\S+ |sudo )*(?:bin/)?weir ([a-z].*)$`)
	inText   = regexp.MustCompile("`(?:bin/)?weir ([a-z][^`\n]*)`")
	greeting = regexp.MustCompile(`^v[0-9]|^devel`) // the first line of a status
)

// TestGuideCommands: what guides have people write is taken: verbs and flags are there, and there are as many words as the verb wants.
func TestGuideCommands(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../README.md", "../../docs/guide/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	n := 0
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "```") {
			found := inText
			if i%2 == 1 {
				found = inBlock
			}
			for _, m := range found.FindAllStringSubmatch(part, -1) {
				if greeting.MatchString(m[1]) {
					continue
				}
				n++
				if err := taken(words(m[1])); err != nil {
					t.Errorf("%s: weir %s: %v", filepath.Base(path), m[1], err)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d commands were found", n)
	}
}

// taken says what is wrong with a command, without running it.
func taken(args []string) error {
	root := rootCommand()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if c == root {
		return errors.New("there is no such verb")
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if rest = c.Flags().Args(); len(rest) == 0 {
		return nil // a verb alone is a name for it
	}
	return c.ValidateArgs(rest)
}

// words cuts a command as a shell does, up to what is the shell's own.
func words(text string) (all []string) {
	var word strings.Builder
	in, quote := false, rune(0)
	end := func() {
		if in {
			all = append(all, word.String())
			word.Reset()
		}
		in = false
	}
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\t':
			end()
		case !in && strings.ContainsRune("#|<>&;", r):
			return all
		case strings.ContainsRune("|;", r):
			end()
			return all
		default:
			word.WriteRune(r)
			in = true
		}
	}
	end()
	return all
}
