package statsd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func show(m metric, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	s := fmt.Sprintf("%s %s %v%v%v", m.name, kindWords[m.kind], m.values, m.member, m.labels)
	if m.relative {
		s += " relative"
	}
	if m.rate != 1 {
		s += fmt.Sprint(" @", m.rate)
	}
	return s
}

func TestParseLine(t *testing.T) {
	for in, want := range map[string]string{
		"logins:1|c":                           "logins counter [1][][]",
		"logins:1|c|@0.1":                      "logins counter [1][][] @0.1",
		"users.active:12.5|g":                  "users_active gauge [12.5][][]",
		"users:+3|g":                           "users gauge [3][][] relative",
		"users:-3|g":                           "users gauge [-3][][] relative",
		"render:320|ms":                        "render timer [320][][]",
		"size:1:2:3|h":                         "size histogram [1 2 3][][]",
		"size:7|d|#b:2,a:1,b:3,x":              "size histogram [7][][[a 1] [b 2] [x true]]",
		"visitors:anna|s":                      "visitors set [][anna][]",
		"visitors:a:b|s":                       "visitors set [][a:b][]",
		"x:1|c|#le:5,__name__:y,9:1,job:w":     "x counter [1][][[name__ y] [tag_9 1] [tag_job w] [tag_le 5]]",
		"x:1|c|c:container|T1700000000":        "x counter [1][][]",
		"x:1|c|#":                              "x counter [1][][]",
		"x:1|c|#,,a:":                          "x counter [1][][[a ]]",
		"my-app/x y:1|c\r":                     "my_app_x_y counter [1][][]",
		"hits_total:1|c":                       "hits counter [1][][]",
		"a_sum_total_count:1|c":                "a counter [1][][]",
		"_total:1|c":                           "total counter [1][][]",
		"_e{5,4}:title|text":                   "error ",
		"_sc|redis|2":                          "error ",
		"":                                     "error ",
		"x":                                    "error form",
		"x:1":                                  "error form",
		":1|c":                                 "error form",
		"x|c":                                  "error form",
		"x:1|q":                                "error form",
		"x:|c":                                 "error value",
		"x:one|c":                              "error value",
		"x:NaN|g":                              "error value",
		"x:Inf|g":                              "error value",
		"x:1e300|g":                            "error value",
		"x:1|c|@0":                             "error value",
		"x:1|c|@2":                             "error value",
		"x:1|c|@1e-7":                          "error value",
		"x:1|c|@NaN":                           "error value",
		"x\xff:1|c":                            "error too_long",
		strings.Repeat("x", 121) + ":1|c":      "error too_long",
		"x:1|c|#a:" + strings.Repeat("v", 121): "error too_long",
		"x:" + strings.Repeat("1:", 100) + "1|ms": "error too_long",
		"x:1|c|#a,b,c,d,e,f,g,h,i,j,k":            "error too_long",
		"---:1|c":                                 "error too_long",
	} {
		if got := show(parseLine([]byte(in))); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

// FuzzLine: whatever comes in a packet, what is made of it has its bounds and names that Prometheus takes.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"logins:1|c|@0.1", "size:1:2|d|#b:2,a:1", "visitors:anna|s", "users:+3|g", "_e{1,1}:a|b", "x:1|c|#\xff:\xfe"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := parseLine(line)
		if err != nil {
			if !errors.Is(err, errNothing) && !errors.Is(err, errForm) && !errors.Is(err, errValue) && !errors.Is(err, errLong) {
				t.Fatal(err)
			}
			return
		}
		if m.name == "" || len(m.name) > maxName || len(m.labels) > maxLabels || len(m.values) > maxValues || m.rate < minRate || m.rate > 1 {
			t.Fatalf("%+v", m)
		}
		last := ""
		for _, l := range m.labels {
			if l[0] <= last || !utf8.ValidString(l[1]) || strings.HasPrefix(l[0], "_") {
				t.Fatalf("labels %q", m.labels)
			}
			last = l[0]
		}
	})
}
