package api

import "encoding/json"

// Stories are what a retired edge knows of requests that were slow or failed (POST /v1/stories to its successor), each as GET /v1/log
// has it, the oldest first.
type Stories struct {
	Stories []json.RawMessage `json:"stories"`
}
