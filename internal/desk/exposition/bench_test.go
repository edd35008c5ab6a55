package exposition

import (
	"testing"

	"github.com/weirhq/weir/internal/desk/packed"
	"github.com/weirhq/weir/internal/picture"
)

// BenchmarkScrape is the number of the issue: 100 pools of 10 servers and 1,000 routes, under 20 ms.
func BenchmarkScrape(b *testing.B) {
	p := large(1000, 100, 10)
	for f, name := range map[format]string{plain: "text", openMetrics: "openmetrics", protobuf: "protobuf"} {
		for _, zipped := range []bool{false, true} {
			b.Run(name+map[bool]string{true: "+gzip"}[zipped], func(b *testing.B) {
				b.ReportAllocs()
				x := New(func() *picture.Picture { return p })
				n := 0
				for b.Loop() {
					x.of = nil
					page := x.page(f)
					if n = len(page.Text); zipped {
						n = len(packed.Whole(page.Text))
					}
				}
				b.ReportMetric(float64(n), "bytes")
			})
		}
	}
}
