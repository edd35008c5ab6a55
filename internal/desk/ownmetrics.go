package desk

import "github.com/weirhq/weir/internal/desk/exposition"

// traceFamilies are what became of spans, as metrics; none while the configuration has no traces.
func (d *desk) traceFamilies() []exposition.Family {
	if cfg := d.hub.cfg.Load(); cfg.Traces == nil {
		return nil
	}
	st := d.traces.Stats()
	one := func(name, help string, kind exposition.Kind, v float64) exposition.Family {
		return exposition.Family{Name: name, Kind: kind, Help: help, Samples: []exposition.Sample{{Value: v}}}
	}
	return []exposition.Family{
		one("weir_traces_sent_total", "Spans that the collector has taken.", exposition.Counter, float64(st.Sent)),
		one("weir_traces_dropped_total", "Spans that nobody took in time.", exposition.Counter, float64(st.Dropped)),
		one("weir_traces_refused_total", "Spans that the collector would not have.", exposition.Counter, float64(st.Refused)),
		one("weir_traces_waiting", "Spans that wait for the collector.", exposition.Gauge, float64(st.Waiting)),
	}
}
