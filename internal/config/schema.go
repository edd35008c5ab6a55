package config

import (
	"bytes"
	"encoding/json"
	"fmt"
)

//go:generate go test -run TestGenerated . -update

// Schema is the JSON schema (draft 2020-12) of the configuration, for editors. It is made from the table that the
// decoder reads by, so it says what this weir takes. It knows less than the decoder: what it accepts may still name a pool
// that is not there.
func Schema() ([]byte, error) {
	whole := tables()
	defs := make(properties, 0, len(whole.objects))
	for _, o := range whole.objects[1:] {
		defs = append(defs, property{o.name, o.shape})
	}
	top := *whole.objects[0].shape
	top.Description = ""
	document := struct {
		Schema string `json:"$schema"`
		Title  string `json:"title"`
		*topShape
		Defs properties `json:"$defs"`
	}{"https://json-schema.org/draft/2020-12/schema", "weir configuration", &topShape{
		Type: "object", Properties: top.Properties,
	}, defs}
	plain, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, plain, "", "  "); err != nil {
		return nil, fmt.Errorf("indenting the schema: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// topShape is what the schema of the whole file has of a shape's parts.
type topShape struct {
	Type                 string     `json:"type"`
	AdditionalProperties bool       `json:"additionalProperties"`
	Properties           properties `json:"properties"`
}
