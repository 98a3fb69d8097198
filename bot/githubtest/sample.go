package githubtest

import (
	"maps"

	"github.com/getkin/kin-openapi/openapi3"
)

// object is a JSON object of a response.
type object = map[string]any

// fill is an object of a named schema: all that the schema requires, with
// neutral values, and over them those given.
func (d *description) fill(name string, values object) object {
	o, _ := sample(d.schema(name), true).(object)
	maps.Copy(o, values)
	return o
}

// sample is a small value that satisfies a schema: null where it may be null
// (unless it is the object that was asked for), and nothing that is optional.
func sample(s *openapi3.Schema, asked bool) any {
	if s.Nullable && !asked {
		return nil
	}
	for _, alternatives := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
		if len(alternatives) > 0 {
			return sample(alternatives[0].Value, false)
		}
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch {
	case s.Type.Is(openapi3.TypeObject):
		o := object{}
		for _, name := range s.Required {
			if p, ok := s.Properties[name]; ok {
				o[name] = sample(p.Value, false)
			}
		}
		return o
	case s.Type.Is(openapi3.TypeArray):
		return []any{}
	case s.Type.Is(openapi3.TypeInteger), s.Type.Is(openapi3.TypeNumber):
		return 0
	case s.Type.Is(openapi3.TypeBoolean):
		return false
	}
	return sampleString(s.Format)
}

func sampleString(format string) string {
	switch format {
	case "date-time":
		return "2025-01-02T03:04:05Z"
	case "email":
		return "octocat@github.test"
	case "uri", "uri-template":
		return webURL
	}
	return "text"
}
