package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
	"golang.org/x/crypto/bcrypt"
)

// TestPassword: what it prints is taken by the configuration, and is of the password.
func TestPassword(t *testing.T) {
	for in, wrong := range map[string]string{"correct horse\n": "", "correct horse": "", "größer als kurz\r\n": "", "short\n": "too short", "\n": "too short", strings.Repeat("x", 73): "too long"} {
		var out bytes.Buffer
		c := passwordCommand()
		c.SetIn(strings.NewReader(in))
		c.SetOut(&out)
		c.SetErr(&out)
		c.SetArgs(nil)
		c.SilenceUsage, c.SilenceErrors = true, true
		err := c.ExecuteContext(t.Context())
		if wrong != "" {
			if err == nil || !strings.Contains(err.Error(), wrong) || out.Len() > 0 {
				t.Errorf("%q: %v, %s", in, err, out.String())
			}
			continue
		}
		hash := strings.TrimSpace(out.String())
		if err != nil || bcrypt.CompareHashAndPassword([]byte(hash), []byte(strings.TrimRight(in, "\r\n"))) != nil {
			t.Errorf("%q: %q, %v", in, hash, err)
		}
		text := "admin: {users: {ann: {password: \"" + hash + "\"}}}\npools: {web: {servers: [\"127.0.0.1:1\"]}}\n"
		if _, _, err := config.Parse("w.yaml", []byte(text), func(string) (string, bool) { return "", false }); err != nil {
			t.Error(err)
		}
	}
}
