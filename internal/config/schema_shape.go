package config

import (
	"bytes"
	"encoding/json"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// shape is a JSON schema (draft 2020-12), as far as weir's needs one.
type shape struct {
	Ref                  string      `json:"$ref,omitempty"`
	Description          string      `json:"description,omitempty"`
	Type                 any         `json:"type,omitempty"`
	Enum                 []any       `json:"enum,omitempty"`
	Pattern              string      `json:"pattern,omitempty"`
	Minimum              *int        `json:"minimum,omitempty"`
	Maximum              *int        `json:"maximum,omitempty"`
	Items                *shape      `json:"items,omitempty"`
	MinItems             int         `json:"minItems,omitempty"`
	Required             []string    `json:"required,omitempty"`
	Properties           properties  `json:"properties,omitempty"`
	PropertyNames        *shape      `json:"propertyNames,omitempty"`
	AdditionalProperties *bool       `json:"-"`
	Additional           *shape      `json:"-"` // of a mapping from names
	AnyOf                []*shape    `json:"anyOf,omitempty"`
	Default              defaultText `json:"default,omitempty"`
}

// defaultText is a default as it would be written in a file.
type defaultText string

// MarshalJSON writes what it says.
func (t defaultText) MarshalJSON() ([]byte, error) {
	var v any
	if err := yaml.Unmarshal([]byte(t), &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// MarshalJSON writes additionalProperties, which is either false or a schema.
func (s *shape) MarshalJSON() ([]byte, error) {
	type plain shape
	out := struct {
		*plain
		AdditionalProperties any `json:"additionalProperties,omitempty"`
	}{plain: (*plain)(s)}
	switch {
	case s.Additional != nil:
		out.AdditionalProperties = s.Additional
	case s.AdditionalProperties != nil:
		out.AdditionalProperties = s.AdditionalProperties
	}
	return json.Marshal(out)
}

// property is a key and its schema; properties keeps them in the order of the table.
type (
	property struct {
		name  string
		shape *shape
	}
	properties []property
)

// MarshalJSON writes an object in the order of the table.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(one.name)
		if err != nil {
			return nil, err
		}
		val, err := json.Marshal(one.shape)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(val)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// variableForm is any text with a variable in it: what it will be, no editor can know.
const variableForm = `\$\{`

func variableShape() *shape { return &shape{Type: "string", Pattern: variableForm} }

// textShape is text for which a number or a boolean will do: what is written is taken as it is.
func textShape() *shape {
	return &shape{Type: []string{"string", "number", "boolean"}}
}

// stringShape is text that is never a number.
func stringShape() *shape { return &shape{Type: "string"} }

func boolShape() *shape {
	return &shape{AnyOf: []*shape{{Type: "boolean"}, variableShape()}}
}

func intShape(low, high int) *shape {
	return &shape{AnyOf: []*shape{{Type: "integer", Minimum: &low, Maximum: &high}, variableShape()}}
}

func enumShape(values []string) *shape {
	var all []any
	for _, v := range values {
		all = append(all, v)
		if n, err := strconv.Atoi(v); err == nil {
			all = append(all, n) // 503 is a number unless it has quotes
		} else if f, err := strconv.ParseFloat(v, 64); err == nil {
			all = append(all, f) // 1.3 likewise
		}
	}
	return &shape{AnyOf: []*shape{{Enum: all}, variableShape()}}
}

func patternShape(form string) *shape {
	zero := 0
	return &shape{AnyOf: []*shape{{Type: "string", Pattern: form}, variableShape(), {Type: "integer", Minimum: &zero, Maximum: &zero}}}
}

func sizeShape() *shape {
	zero := 0
	return &shape{AnyOf: []*shape{
		{Type: "integer", Minimum: &zero}, {Type: "string", Pattern: `^[0-9]+(\.[0-9]+)? *([KMGT]i?B|kB|B)?$`}, variableShape(),
	}}
}
