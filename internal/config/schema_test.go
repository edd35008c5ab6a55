package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("weir.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("weir.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON is a text as an editor's schema checker sees it: every key is a string.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return stringKeys(v)
}

func stringKeys(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = stringKeys(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = stringKeys(v[k])
		}
	case map[any]any:
		out := map[string]any{}
		for k, e := range v {
			out[fmt.Sprint(k)] = stringKeys(e)
		}
		return out
	}
	return v
}

// TestSchemaTakes: what the decoder takes, the schema takes.
func TestSchemaTakes(t *testing.T) {
	schema := compileSchema(t)
	for name, text := range examples(t, "testdata/good") {
		if name == "empty-parts" {
			continue // a key without a value is a way of YAML that editors rightly warn of
		}
		if err := schema.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaRefuses: an editor with the schema sees these mistakes.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	for name, text := range map[string]string{
		"an unknown key":         "app: {}",
		"an unknown key, inside": "apps: {web: {command: x, comand: x}}",
		"no command":             "apps: {web: {}}",
		"a bad name":             "apps: {Web: {command: x}}",
		"a list":                 "apps: []",
		"a time without a unit":  "timeouts: {head: 30}",
		"a size in words":        "limits: {body: large}",
		"a boolean in words":     "apps: {web: {command: x, socket: maybe}}",
		"a number out of range":  "limits: {fields: 0}",
		"an unknown word":        "log: {level: loud}",
		"a key of later":         "listen: {https: [\":443\"]}",
		"a match in a match":     "sites: [{hosts: [a], routes: [{match: {any: [{not: {paht: /}}]}, pool: x}]}]",
		"a status":               "sites: [{hosts: [a], routes: [{pool: x}], errors: {200: a}}]",
		"an empty list":          "sites: [{hosts: [], routes: [{pool: x}]}]",
	} {
		if err := schema.Validate(asJSON(t, text)); err == nil {
			t.Errorf("%s is taken: %s", name, text)
		}
	}
}

// TestDocs: what the documents show as a configuration is one. A block of YAML counts when it begins with a key of the
// whole file.
func TestDocs(t *testing.T) {
	schema := compileSchema(t)
	root := filepath.Join("..", "..")
	set := func(name string) (string, bool) {
		switch {
		case strings.HasSuffix(name, "_URL"):
			return "https://www.example.com/", true
		case strings.HasSuffix(name, "_TOKEN"), strings.HasSuffix(name, "_SECRET"):
			return "0123456789abcdef-" + name, true
		}
		return "1", true
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, block := range strings.Split(string(text), "```yaml\n")[1:] {
			block, _, _ = strings.Cut(block, "```")
			if !beginsWhole(block) {
				continue
			}
			if err := schema.Validate(asJSON(t, block)); err != nil {
				t.Errorf("%s, block %d: %v", path, i+1, err)
			}
			if _, _, err := parse("weir.yaml", []byte(block), set, fake, false); err != nil && !incomplete(err) {
				t.Errorf("%s, block %d: %v", path, i+1, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// incomplete says that all a text lacks is what stands elsewhere: a document may show a part.
func incomplete(err error) bool {
	all, ok := err.(Errors)
	for _, e := range all {
		ok = ok && (strings.HasPrefix(e.Message, "there is nothing to serve") || strings.HasPrefix(e.Message, "there is no pool") ||
			strings.HasPrefix(e.Message, "there is no app"))
	}
	return ok
}

func beginsWhole(block string) bool {
	for line := range strings.Lines(block) {
		key, _, ok := strings.Cut(line, ":")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		for _, k := range tables().objects[0].keys {
			if ok && k.name == key {
				return true
			}
		}
		return false
	}
	return false
}

// TestSchemaOfDocs holds that beginsWhole sees what it should.
func TestSchemaOfDocs(t *testing.T) {
	for block, want := range map[string]bool{"# a\n\napps: {}\n": true, "match: {}\n": false, "- apps\n": false, "": false, "sites:\n  - x\n": true} {
		if got := beginsWhole(block); got != want {
			t.Errorf("%q: %v", block, got)
		}
	}
}

// TestDefaultsAreYAML: a default that is read without a parser is what the parser makes of it.
func TestDefaultsAreYAML(t *testing.T) {
	seen := 0
	for _, o := range tables().objects {
		for _, k := range o.keys {
			if k.def == "" || k.def[0] == '(' {
				continue
			}
			seen++
			var want yaml.Node
			if err := yaml.Unmarshal([]byte(k.def), &want); err != nil || len(want.Content) != 1 {
				t.Fatalf("%s.%s: %q: %v", o.name, k.name, k.def, err)
			}
			got, err := defaultNode(k.def)
			if one := want.Content[0]; err != nil || got.Kind != one.Kind || got.ShortTag() != one.ShortTag() || got.Value != one.Value || len(got.Content) != len(one.Content) {
				t.Errorf("%s.%s: %q is %+v, want %+v (%v)", o.name, k.name, k.def, got, one, err)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d defaults", seen)
	}
}
