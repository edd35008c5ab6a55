package cache

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

// TestHeadFormat holds the layout of stored heads to its number: heads on disk were written by other versions of weir. Who
// changes the layout raises HeadFormat and writes the file anew.
func TestHeadFormat(t *testing.T) {
	var resp message.Response
	resp.Status, resp.Reason = 200, []byte("OK")
	for _, l := range [][2]string{{"Content-Type", "text/plain"}, {"ETag", `"a"`}, {"Date", "Sun, 06 Nov 1994 08:49:37 GMT"}} {
		resp.Fields.Add(message.Lookup([]byte(l[0])), []byte(l[0]), []byte(l[1]))
	}
	head := AppendStored(nil, &Stored{Life: Life{Status: 200, Received: 1, Age: 2, TTL: 3, WhileRevalidate: 4, IfError: 5,
		Flags: MustValidate | NoStale | Immutable | Heuristic | Encodable}, Born: 6, Host: []byte("host"), URL: []byte("/url?q"), Tags: []uint64{7, 8}, Serial: 9}, &resp)
	list := AppendVariants(nil, View{}, []byte("accept-language,"), 10)
	now := fmt.Sprintf("format %d\n%s%s", HeadFormat, hex.Dump(head), hex.Dump(list))
	const path = "testdata/head"
	was, err := os.ReadFile(path)
	if err != nil && os.Getenv("WEIR_UPDATE") == "" {
		t.Fatal(err)
	}
	if string(was) == now {
		return
	}
	if os.Getenv("WEIR_UPDATE") != "" {
		if strings.HasPrefix(string(was), fmt.Sprintf("format %d\n", HeadFormat)) {
			t.Fatal("the layout has changed: raise HeadFormat first")
		}
		if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the layout of stored heads has changed: raise HeadFormat, and write %s anew with WEIR_UPDATE=1:\n%s", path, now)
}
