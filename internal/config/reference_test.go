package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/condition"
)

var update = flag.Bool("update", false, "write what is generated and what is wanted anew")

// docs is where the generated files are.
const docs = "../../docs/reference"

// TestGenerated holds the reference and the schema in docs to the table.
func TestGenerated(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(docs, "configuration.md"), referenceText())
	golden(t, filepath.Join(docs, "weir.schema.json"), string(schema))
	golden(t, filepath.Join(docs, "alerts.md"), alertsText())
}

// golden compares with a file, which -update writes.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not up to date (-file +now); go test -update writes it:\n%s", path, diff)
	}
}

const alertsHead = `# Alerts: rules and numbers

Generated from what weir knows. [Be woken only for what matters](../guide/be-woken-only-for-what-matters.md) shows it in use, the
[configuration reference](configuration.md) has the keys.

## Built-in rules

They are on once somebody is to be told (` + "`alerts: {targets: …}`" + `). ` + "`rules: {NAME: off}`" + ` turns one off, ` + "`rules: {NAME: {…}}`" + ` changes what
it names.

| rule | about | limit | over again at | for | over for | severity |
|---|---|---|---|---|---|---|
`

const alertsNumbers = `
## Numbers for rules of your own

` + "`when: site.p95 > 2s and site.rate > 1`" + `: numbers are compared by ` + "`> >= < <= == !=`" + `, joined by ` + "`and`, `or`, `not`" + ` and parentheses, and reckoned with
by ` + "`+ - * /`" + `. A time needs its unit (` + "`300ms`, `2s`, `5m`, `1h`" + `), a share is ` + "`5%`" + ` or ` + "`0.05`" + `, a size ` + "`64KiB`" + ` or ` + "`2GB`" + `. One condition is about one
kind of thing, and is asked of each of them. While a number is not known, such as the latency of a site without requests, a
comparison with it is neither true nor false, and the alert stays as it is.

| number | is | what |
|---|---|---|
`

// alertsText is the page of built-in rules and of numbers.
func alertsText() string {
	var b strings.Builder
	b.WriteString(alertsHead)
	for _, r := range BuiltInRules() {
		over, clear := "", ""
		show := func(n float64) string {
			switch r.Unit {
			case "share":
				return strconv.FormatFloat(n*100, 'g', -1, 64) + "%"
			case "time":
				return strconv.FormatFloat(n/86400, 'g', -1, 64) + "d"
			}
			return strconv.FormatFloat(n, 'g', -1, 64)
		}
		if r.Unit != "" {
			word := "over"
			if r.Less {
				word = "under"
			}
			over, clear = "`"+word+": "+show(r.Over)+"`", show(r.Clear)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", r.Name, r.Doc, over, clear, showDuration(r.For), showDuration(r.ClearFor), r.Severity)
	}
	b.WriteString(alertsNumbers)
	for _, k := range condition.All() {
		fmt.Fprintf(&b, "| `%s.%s` | %s | %s |\n", k.Of, k.Name, k.Unit, k.Doc)
	}
	return b.String()
}

const referenceHead = `# Configuration reference

Generated from the table that weir reads by; ` + "`weir schema`" + ` prints the same as a JSON schema for editors. The guides
show it in use.

The file is YAML, one document, UTF-8, at most 4 MiB. ` + "`weir check FILE`" + ` checks it and starts nothing. Everything that is
wrong is said at once, with its place. A key that stands twice, or that weir does not know, is an error.

| form | is written |
|---|---|
| true or false | ` + "`true`, `false`" + `; not yes, no, on, off |
| a time | a number with its unit: ` + "`500ms`, `30s`, `1m30s`, `2h`, `1d`" + ` |
| a size | ` + "`64KiB`, `10MiB`, `1GiB`" + ` (1024), ` + "`10MB`, `2GB`" + ` (1000), or a number of bytes |
| a path | absolute, or beginning at the folder of the file |
| a name of an app or a pool | at most 40 of a-z, 0-9, _ and - |
| an address or a network | ` + "`192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`" + ` |
| a list | of one element: the element alone will do where it says "or a list" |

**Variables.** ` + "`${NAME}`" + ` in any value (not in a key) is the environment variable of that name; when it is not set, that is an
error. ` + "`${NAME:-default}`" + ` takes the default when it is not set or empty. ` + "`$${`" + ` is ` + "`${`" + ` itself; every other ` + "`$`" + ` stays as it is, so
that a command has its ` + "`$PORT`, `$SOCKET` and `$WORKER`" + `. What a variable holds is text: it is never read as YAML, and in a
command it is never divided into words. In ` + "`{ }` and `[ ]`" + ` a value with ` + "`${NAME}`" + ` needs quotes.

**Anchors.** ` + "`&name`, `*name` and `<<: *name`" + ` work as in all YAML.
`

// referenceText is docs/reference/configuration.md.
func referenceText() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, o := range tables().objects {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | value | default | |\n|---|---|---|---|\n", o.name, o.doc)
		for _, k := range o.keys {
			def := "`" + k.def + "`"
			switch {
			case k.must:
				def = "must be given"
			case k.def == "":
				def = ""
			case k.def[0] == '(':
				def = strings.Trim(k.def, "()")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, cell(k.words+links(k.shape)), cell(def), cell(k.doc))
		}
		if len(o.later) > 0 {
			b.WriteString("\nNot in this version yet: ")
			for i, l := range o.later {
				if i > 0 {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, "`%s` (%s)", l.name, l.doc)
			}
			b.WriteString(".\n")
		}
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// links names the objects that a value is made of.
func links(s *shape) string {
	seen := map[string]bool{}
	var out string
	var walk func(*shape)
	walk = func(s *shape) {
		if s == nil {
			return
		}
		if name := strings.TrimPrefix(s.Ref, "#/$defs/"); name != "" && !seen[name] {
			seen[name] = true
			out += fmt.Sprintf(" → [%s](#%s)", name, name)
		}
		walk(s.Items)
		walk(s.Additional)
		for _, a := range s.AnyOf {
			walk(a)
		}
	}
	walk(s)
	return out
}
