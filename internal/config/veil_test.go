package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestSecretsAreNotShown: whatever is wrong in a file, and wherever, no error repeats a secret. Each text has the word s3cr3t in place of one.
func TestSecretsAreNotShown(t *testing.T) {
	for _, text := range []string{
		"admin: {token: s3cr3t}",
		"admin: {token: 's3cr3t and more', look: public}",
		"admin:\n  look: public\n  token: \"a s3cr3t\\\"s3cr3t word\"\n  idle: 1",
		"admin: {tokens: {ci: s3cr3t}}",
		"admin: {tokens: [s3cr3t]}",
		"admin: {tokens: {ci: {token: s3cr3t, role: admin}}}",
		"admin: {tokn: s3cr3ts3cr3ts3cr3t}",
		"admin: {users: {anna: {password: s3cr3t}}}",
		"admin: {users: {anna: s3cr3t}}",
		"admin:\n  token: |\n    s3cr3t\n   s3cr3t\n  idle: 1",
		"admin:\n  token: s3cr3t\n    s3cr3t\n  idle: 1",
		"admin:\n  token: \"s3cr3t\n    s3cr3t\"\n  idle: 1",
		"admin: {token: &a s3cr3t}",
		"x: &a s3cr3t\nadmin: {token: *a}",
		"alerts: {targets: {ops: {webhook: s3cr3t.example}}}",
		"alerts: {targets: {ops: {webhook: {url: 'ftp://s3cr3t', headers: {X: 's3cr3t', \"a b\": s3cr3t}, secret: s3cr3t}}}}",
		"alerts: {targets: {ops: {webhook: {address: s3cr3t}}}}",
		"alerts: {targets: {ops: {slack: hooks.example/s3cr3t}}}",
		"alerts: {smtp: {server: 'mail:25', user: a, password: s3cr3t, tls: ssl}}",
		"alerts: {smtp: {server: 'mail:25', user: a, pasword: s3cr3t}}",
		"traces: {to: 'http://a:s3cr3t@127.0.0.1:4318'}",
		"traces: {to: 'http://127.0.0.1', header: {Authorization: s3cr3t}}",
		"traces: {to: 'http://127.0.0.1', headers: {Authorization: s3cr3t, 'a b': s3cr3t}, sample: 3}",
		"apps: {web: {command: sleep, env: {SECRET_KEY: s3cr3t, DB: 'postgres://a:s3cr3t@db/x'}, workrs: 3}}",
		"admin: {token: *s3cr3t}",
		"admin: {token: !s3cr3t x}",
		"admin: {token: @s3cr3t}",
		"admin: {token: s3cr3t",
		"admin: {token: 's3cr3t",
		"admin: {token: \"s3cr3t\"}}",
		"alerts: {targets: {ops: {webhook: {url: 'https://s3cr3t'}}}",
		"admin:\n  token: s3cr3t\n x: [",
		"admin:\n\ttoken: s3cr3t",
		"admin: {users: {anna: {password: ${PW}}}}",
		"admin: {users: {anna: {password: '${PW}'}}}",
		"admin: {token: '${PW}'}",
	} {
		_, _, err := Parse("a.yaml", []byte(text), func(string) (string, bool) { return "s3cr3t", true })
		if err == nil {
			t.Errorf("%s\nis accepted", text)
		} else if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s\nis told as\n%v", text, err)
		}
	}
}

// TestWhatIsNoSecretIsShown: stars would hide the mistake.
func TestWhatIsNoSecretIsShown(t *testing.T) {
	for text, want := range map[string]string{
		"admin: {token: '${NOPE}'}":                                  "token: '${NOPE}'",
		"admin: {listen: nope}":                                      "listen: nope",
		"admin: {tls: {key: nope}}":                                  "key: nope",
		"admin: {tokens: {ci: {token: s3cr3t, role: nope}}}":         "token: ******, role: nope}",
		"admin: {token: ü€s3cr3t, look: nope}":                       "token: ********, look: nope}",
		"alerts: {rules: {errors: {over: nope}}}":                    "over: nope",
		"sites: [{hosts: [a], routes: [{redirect: 'http://a:b/c'}]}": "'http://a:b/c'",
	} {
		_, _, err := Parse("a.yaml", []byte(text), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis told as\n%v", text, err)
		}
	}
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var hidden []string
	for _, m := range regexp.MustCompile(`"([a-z][a-z0-9_]*)": \{`).FindAllStringSubmatch(string(schema), -1) {
		if secretKey(m[1]) && !slices.Contains(hidden, m[1]) {
			hidden = append(hidden, m[1])
		}
	}
	slices.Sort(hidden)
	if want := []string{"password", "secret", "slack", "token", "tokens", "webhook"}; !slices.Equal(hidden, want) {
		t.Errorf("keys whose values are hidden: %v, want %v", hidden, want)
	}
}

// FuzzVeil: whatever a file is, its lines are shown with as many characters as they have, so that carets stand below what is meant.
func FuzzVeil(f *testing.F) {
	for _, text := range []string{"admin: {token: s3cr3t}", "token: |\n  a\n b\n\nx: 1", "token: \"a\n  b\\\"\"", "password: 'it''s", "webhook: {url: x, headers: {a: b}}", "token: é\u2028ü", "- token: a\n  b: *c", "token: ["} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := newSource("a.yaml", []byte(text))
		for i, line := range s.lines {
			if got := s.shown(i + 1); utf8.ValidString(text) && utf8.RuneCountInString(got) != utf8.RuneCountInString(line) {
				t.Errorf("%q is shown as %q", line, got)
			}
		}
	})
}
