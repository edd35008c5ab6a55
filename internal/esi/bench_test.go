package esi

import (
	"bytes"
	"strings"
	"testing"
)

// page is HTML as sites have it: about a tag every thirty bytes, comments, a script.
func ordinary(size int) []byte {
	const part = `<div class="card"><h2><a href="/photos/1234">A photo of a weir</a></h2>
  <p>Some words about it, <em>not</em> many &ndash; enough for a card.</p><!-- card -->
  <img src="/media/1234.jpg" alt="weir" width="320" height="200"><ul><li>one</li><li>two</li></ul>
  <script>if (a < b && c > d) { e("</div>"); }</script></div>
`
	return bytes.Repeat([]byte(part), size/len(part)+1)[:size]
}

func drive(p *Parser, page *Page, doc []byte, chunk int) (text, includes int) {
	p.Reset(page, 0)
	for len(doc) > 0 {
		in := doc[:min(chunk, len(doc))]
		doc = doc[len(in):]
		for {
			ev, n := p.Next(in)
			in = in[n:]
			if ev.Kind == More {
				break
			}
			text += len(ev.Text)
			if ev.Kind == Include {
				includes++
			}
		}
	}
	for ev := p.Finish(); ev.Kind != End; ev = p.Finish() {
		text += len(ev.Text)
	}
	return text, includes
}

func BenchmarkParser(b *testing.B) {
	include := `<esi:include src="/fragment?a=1&amp;b=2" onerror="continue"/>`
	for _, c := range []struct {
		name  string
		doc   []byte
		chunk int
	}{
		{"text", []byte(strings.Repeat("no markup at all, ", 1<<12)), 16 << 10},
		{"html", ordinary(64 << 10), 16 << 10},
		{"html, small chunks", ordinary(64 << 10), 512},
		{"html, unwrapped", append([]byte("<!--esi "), ordinary(64<<10)...), 16 << 10},
		{"includes", bytes.Repeat(append(ordinary(2<<10), include...), 32), 16 << 10},
		{"includes, cut", bytes.Repeat([]byte(include), 100), 17},
	} {
		b.Run(c.name, func(b *testing.B) {
			var page Page
			var p Parser
			b.SetBytes(int64(len(c.doc)))
			b.ReportAllocs()
			for b.Loop() {
				page.Reset(Limits{})
				drive(&p, &page, c.doc, c.chunk)
			}
		})
	}
}

func TestAllocs(t *testing.T) {
	doc := bytes.Repeat(append(ordinary(2<<10), `<esi:try><esi:attempt>x<esi:include src="/a?b&amp;c" alt='d'/></esi:attempt></esi:try><esi:remove>x</esi:remove><!--esi x -->`...), 4)
	for _, chunk := range []int{len(doc), 4096, 31, 1} {
		var page Page
		var p Parser
		run := func() {
			page.Reset(Limits{})
			if _, n := drive(&p, &page, doc, chunk); n != 4 {
				t.Fatalf("%d includes", n)
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("in chunks of %d: %v allocations per page", chunk, n)
		}
	}
	hosts := NewHosts([]string{"cdn.example.net"})
	parent := Address{"http", []byte("www.example.com"), []byte("/dir/page")}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		for _, src := range []string{"../a?b", "http://cdn.example.net:8080/"} {
			_, buf, _ = Resolve(buf[:0], parent, []byte(src), hosts)
		}
	}); n != 0 {
		t.Errorf("Resolve: %v allocations", n)
	}
}
