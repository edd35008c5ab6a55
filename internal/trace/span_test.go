package trace

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// read reads a request as a collector does.
func read(t *testing.T, request []byte) *traces.ResourceSpans {
	t.Helper()
	var data traces.TracesData // as an ExportTraceServiceRequest
	if err := proto.Unmarshal(request, &data); err != nil || len(data.ResourceSpans) != 1 || len(data.ResourceSpans[0].ScopeSpans) != 1 {
		t.Fatalf("%x: %v, %v", request, err, &data)
	}
	return data.ResourceSpans[0]
}

func sample(name string) *Span {
	return &Span{Trace: ID{1, 2, 3}, ID: SpanID{4, 5}, Parent: SpanID{6}, State: []byte("a=b"), Kind: Client, Name: name, Of: "all", Start: 1_700_000_000_000_000_000, End: 1_700_000_000_000_001_000}
}

// TestSpan: what is said of a span is what a collector reads.
func TestSpan(t *testing.T) {
	list := AppendSpan(nil, sample("GET"))
	list = AppendText(list, "url.path", []byte("/a"))
	list = AppendText(list, "odd", "x\xff\xfe\u00e9")
	list = AppendText(list, "empty", "")
	list = AppendNumber(list, "size", 1<<40)
	list = AppendNumber(list, "less", -1)
	list = EndSpan(AppendFailure(list, "status 500"), 0)
	at := len(list)
	list = EndSpan(AppendSpan(list, &Span{Kind: Internal, Name: "queue", Start: 9, End: 3}), at)
	other := EndSpan(AppendText(AppendSpan(nil, sample("PUT")), "long", strings.Repeat("x", 70_000)), 0)

	request := AppendRequest(nil, Origin{"shop", "v1", "no\xffde"}, list, nil, other)
	of := read(t, request)
	if n := proto.Size(of); 1+lenLen(n)+n != len(request) {
		t.Errorf("it is %d bytes long, and could be %d", len(request), 1+lenLen(n)+n)
	}
	from := map[string]string{}
	for _, a := range of.Resource.Attributes {
		from[a.Key] = a.Value.GetStringValue()
	}
	scope := of.ScopeSpans[0]
	if from["service.name"] != "shop" || from["service.version"] != "v1" || from["host.name"] != "no\uFFFDde" || scope.Scope.Name != "weir" || scope.Scope.Version != "v1" {
		t.Errorf("it is from %v, %v", from, scope.Scope)
	}
	if len(scope.Spans) != 3 {
		t.Fatalf("%d spans: %v", len(scope.Spans), scope.Spans)
	}
	one, want := scope.Spans[0], sample("GET")
	if !bytes.Equal(one.TraceId, want.Trace[:]) || !bytes.Equal(one.SpanId, want.ID[:]) || !bytes.Equal(one.ParentSpanId, want.Parent[:]) || one.TraceState != "a=b" ||
		one.Name != "GET all" || one.Kind != traces.Span_SPAN_KIND_CLIENT || one.StartTimeUnixNano != uint64(want.Start) || one.EndTimeUnixNano != uint64(want.End) ||
		one.Status.GetCode() != traces.Status_STATUS_CODE_ERROR || one.Status.GetMessage() != "status 500" {
		t.Errorf("%v", one)
	}
	said := map[string]any{}
	for _, a := range one.Attributes {
		said[a.Key] = a.Value.GetStringValue()
		if a.Value.GetStringValue() == "" {
			said[a.Key] = a.Value.GetIntValue()
		}
	}
	if len(said) != 4 || said["url.path"] != "/a" || said["odd"] != "x\uFFFD\u00e9" || said["size"] != int64(1<<40) || said["less"] != int64(-1) {
		t.Errorf("%v", said)
	}
	two := scope.Spans[1]
	if two.Name != "queue" || two.Kind != traces.Span_SPAN_KIND_INTERNAL || len(two.ParentSpanId) != 0 || two.StartTimeUnixNano != 9 || two.EndTimeUnixNano != 9 || two.Status != nil || two.TraceState != "" {
		t.Errorf("%v", two)
	}
	if three := scope.Spans[2]; three.Name != "PUT all" || len(three.Attributes[0].Value.GetStringValue()) != 70_000 {
		t.Errorf("%v", three.Name)
	}
}

func TestSpanAllocatesNothing(t *testing.T) {
	out := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { out = whole(out[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// whole is a span with as much as one of a request has.
func whole(dst []byte) []byte {
	at := len(dst)
	dst = AppendSpan(dst, &Span{Trace: ID{1}, ID: SpanID{2}, Kind: Server, Name: "GET", Of: "all", Start: 1 << 60, End: 1<<60 + 1})
	for range 14 {
		dst = AppendText(dst, "http.request.method", "some value")
	}
	return EndSpan(AppendNumber(dst, "http.response.status_code", 200), at)
}

func BenchmarkSpan(b *testing.B) {
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = whole(out[:0])
	}
}

// FuzzSpan: whatever a request has in it, a collector can read what is told of it.
func FuzzSpan(f *testing.F) {
	f.Add("GET", "url.path", []byte("/x"), int64(200), "status 500")
	f.Add("", "", []byte{0xff}, int64(-1), "")
	f.Fuzz(func(t *testing.T, name, key string, value []byte, n int64, why string) {
		if !utf8.ValidString(name+key+why) || !utf8.ValidString(name) || !utf8.ValidString(key) {
			return // these are weir's own
		}
		list := AppendNumber(AppendText(AppendSpan(nil, sample(name)), key, value), key, n)
		list = EndSpan(AppendFailure(list, why), 0)
		all := read(t, AppendRequest(nil, Origin{Service: string(value)}, list, list)).ScopeSpans[0].Spans
		if len(all) != 2 || !proto.Equal(all[0], all[1]) || all[0].Name != name+" all" || all[0].Status.GetMessage() != why {
			t.Errorf("%v", all)
		}
	})
}
