package api

import "encoding/json"

// Stories are what a retired edge knows of requests that were slow or failed (POST /v1/stories to its successor), each as GET /v1/log
// has it, the oldest first.
type Stories struct {
	Stories []json.RawMessage `json:"stories"`
}

// LogStatus is an access log that has dropped lines, or cannot be written.
type LogStatus struct {
	To      string `json:"to"`
	Dropped uint64 `json:"dropped"`           // lines, since it was opened
	Problem string `json:"problem,omitempty"` // why it cannot be written; lines are held, and dropped when they are too many
}
