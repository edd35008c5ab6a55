// Package exposition writes a picture of weir as metrics: in the text format of Prometheus, as OpenMetrics text with exemplars, and as protobuf
// with native histograms. Which metrics there are stands in one table (families), which the reference is generated from. It counts
// nothing itself and takes every label from the configuration or from a fixed list of words.
package exposition
