// Package cache decides what a shared cache does, by RFC 9111 and its companions: what names a stored object, what may
// be stored, for how long, and what may be served. Decisions are pure: values and a time in, values out. It stores
// nothing, fetches nothing and owns no goroutine: memory and disk are cache/store's, purges cache/ban's, the fetch is
// the edge's.
package cache
