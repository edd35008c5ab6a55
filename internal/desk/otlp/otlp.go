// Package otlp sends the traces that the edge tells of to a collector, by OTLP over HTTP. It waits for the collector and nobody waits
// for it: what a collector does not take in time is dropped, and counted. What a span says is the edge's to know.
package otlp

import (
	"encoding/hex"
	"maps"
	"slices"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weirhq/weir/internal/api"
)

// origin is who tells.
type origin struct {
	Service, Version, Node string
}

// appendRequest writes spans as a request to a collector. (An ExportTraceServiceRequest has the one field of TracesData, with the same
// number: so neither gRPC nor its gateway is linked in.)
func appendRequest(dst []byte, from origin, spans []api.Span) ([]byte, error) {
	data := &traces.TracesData{ResourceSpans: []*traces.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{word("service.name", from.Service), word("service.version", from.Version),
			word("host.name", from.Node), word("telemetry.sdk.name", "weir")}},
		ScopeSpans: []*traces.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "weir", Version: from.Version}, Spans: make([]*traces.Span, 0, len(spans))}},
	}}}
	list := &data.ResourceSpans[0].ScopeSpans[0].Spans
	for i := range spans {
		if s := span(&spans[i]); s != nil {
			*list = append(*list, s)
		}
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, data)
}

// span makes one; nil when it has no ids, without which a collector would refuse them all.
func span(s *api.Span) *traces.Span {
	trace, err1 := hex.DecodeString(s.Trace)
	id, err2 := hex.DecodeString(s.Span)
	parent, err3 := hex.DecodeString(s.Parent)
	if err1 != nil || err2 != nil || err3 != nil || len(trace) != 16 || len(id) != 8 || len(parent) != 8 && len(parent) != 0 {
		return nil
	}
	out := &traces.Span{TraceId: trace, SpanId: id, ParentSpanId: parent, TraceState: s.State, Name: s.Name, Kind: kinds[s.Kind],
		StartTimeUnixNano: uint64(max(s.Start, 0)), EndTimeUnixNano: uint64(max(s.End, s.Start, 0))}
	if out.Kind == traces.Span_SPAN_KIND_UNSPECIFIED {
		out.Kind = traces.Span_SPAN_KIND_INTERNAL
	}
	for _, key := range slices.Sorted(maps.Keys(s.Words)) {
		out.Attributes = append(out.Attributes, word(key, s.Words[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Numbers)) {
		out.Attributes = append(out.Attributes, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: s.Numbers[key]}}})
	}
	if s.Error != "" {
		out.Status = &traces.Status{Code: traces.Status_STATUS_CODE_ERROR, Message: utf8(s.Error)}
	}
	return out
}

var kinds = map[string]traces.Span_SpanKind{"server": traces.Span_SPAN_KIND_SERVER, "client": traces.Span_SPAN_KIND_CLIENT}

func word(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: utf8(value)}}}
}
