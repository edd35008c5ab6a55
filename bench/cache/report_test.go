package main

import "testing"

func TestZipf(t *testing.T) {
	const table = "\n## equal\n\n| weir | 1.00 | |\n\n## zipf\n\ntext\n\n| | objects % | |\n|---|---|---|\n| weir | 79.67 | 1 |\n| LRU | 63.48 | 1 |\n| FIFO | 59.73 | 1 |\n" +
		"| W-TinyLFU | 71.16 | 1 |\n| W-TinyLFU, sums | 74.34 | 1 |\n\n## scan\n\n| LRU | 99.00 | 1 |\n"
	weir, others, ok := zipf(table)
	if !ok || weir != 79.67 || others["LRU"] != 63.48 || others["W-TinyLFU"] != 74.34 {
		t.Errorf("%v %v %v", weir, others, ok)
	}
	if _, _, ok := zipf("nothing"); ok {
		t.Error("a table out of nothing")
	}
}
