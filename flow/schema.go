package flow

import (
	"encoding/json"
	"strings"

	"gopkg.in/yaml.v3"
)

// object is a piece of a JSON Schema.
type object = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of a jobs.yaml, for editors.
// It is made from the tables that the parser works with. It is more lenient
// where a schema cannot say what the parser checks, such as names of projects.
func Schema() []byte {
	p := newParser("", nil).withTables()
	s := tableSchema(p.top, "projects")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "cromt jobs.yaml"
	s["description"] = "A flow of projects whose jobs run on Sparky hosts. Anchors, aliases and merge keys (<<) can be used, within limits."
	project := tableSchema(p.project)
	nullable(project) // a project with nothing to say
	project["dependentRequired"] = object{"labels": []string{"pool"}, "workers": []string{"pool"}}
	s["$defs"] = object{
		"project":    project,
		"host":       tableSchema(p.host),
		"dependency": tableSchema(p.before, "name"),
		"after":      tableSchema(p.after, "name"),
		"artifacts":  tableSchema(p.art),
		"output":     tableSchema(p.out, "file", "path"),
		"retry":      tableSchema(p.retry),
		"filters":    tableSchema(p.filters),
		"sparrowdo":  sparrowdoSchema(p.options),
		"pool":       tableSchema(p.pool),
		"member":     tableSchema(p.member, "url"),
		"matrix":     matrixSchema(),
	}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // maps, lists, strings and numbers always marshal
	}
	return append(out, '\n')
}

func tableSchema[T any](t *table[T], required ...string) object {
	props := object{}
	for _, k := range t.keys {
		if k.typ.raw {
			continue
		}
		s := object{}
		for name, v := range k.typ.schema {
			s[name] = v
		}
		if k.typ.null {
			s = orNull(s)
		}
		s["description"] = k.doc
		props[k.name] = s
	}
	s := object{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func sparrowdoSchema(options map[string]optionKey) object {
	props := object{}
	for name, o := range options {
		s := object{"description": o.doc}
		if o.bool {
			s["anyOf"] = typeBool().schema["anyOf"]
		} else {
			s["type"] = anyScalar()
			s["pattern"] = sparrowdoPattern
			s["minimum"] = 0
		}
		props[name] = s
	}
	return object{"type": "object", "properties": props, "additionalProperties": false}
}

// nullable lets s be null as well; s has a type.
func nullable(s object) { s["type"] = []string{s["type"].(string), "null"} }

// orNull returns a schema of s or null.
func orNull(s object) object {
	if _, ok := s["type"].(string); ok {
		nullable(s)
		return s
	}
	return object{"anyOf": []object{s, {"type": "null"}}}
}

// The types of values. A scalar's source text is what counts, so that a
// number or a boolean stands for a string, too.

func anyScalar() []string { return []string{"string", "number", "boolean"} }

func typeText() valueType {
	return valueType{kind: yaml.ScalarNode, want: "a string", schema: object{"type": anyScalar(), "pattern": `\S`}}
}

// typeAnyText may be empty and may have several lines.
func typeAnyText() valueType {
	return valueType{kind: yaml.ScalarNode, empty: true, want: "a string", schema: object{"type": anyScalar()}}
}

func typeURL() valueType {
	return valueType{kind: yaml.ScalarNode, want: "a URL", schema: object{"type": "string", "pattern": `^\s*[Hh][Tt][Tt][Pp][Ss]?://[^@/?#\s]+/?\s*$`}}
}

func typePath() valueType {
	return valueType{kind: yaml.ScalarNode, want: "a string", schema: object{"type": "string", "pattern": `^\s*(~$|~/|/|\.$|\./|[^/\s]+@[^/\s]+:|(https?|ssh|file)://)`}}
}

func typeName(pattern string) valueType {
	return valueType{kind: yaml.ScalarNode, want: "a string", schema: object{"type": anyScalar(), "pattern": pattern}}
}

func typeBool() valueType {
	return valueType{kind: yaml.ScalarNode, want: "true or false", schema: object{
		"anyOf": []object{{"type": "boolean"}, {"enum": []string{"yes", "no", "on", "off", "Yes", "No", "On", "Off", "YES", "NO", "ON", "OFF"}}},
	}}
}

func typeEnum(values ...string) valueType {
	return valueType{kind: yaml.ScalarNode, want: orList(values), schema: object{"enum": values}}
}

func typeInt(lo, hi int) valueType {
	return valueType{kind: yaml.ScalarNode, want: "a whole number", schema: object{"type": []string{"integer", "string"}, "minimum": lo, "maximum": hi, "pattern": `^[0-9]+$`}}
}

func typeNumber(lo, hi float64) valueType {
	return valueType{kind: yaml.ScalarNode, want: "a number", schema: object{"type": []string{"number", "string"}, "minimum": lo, "maximum": hi, "pattern": `^[0-9.]+$`}}
}

func typeDuration() valueType {
	t := typeDelay()
	t.schema["exclusiveMinimum"] = 0
	return t
}

// typeDelay is a duration that may be 0.
func typeDelay() valueType {
	return valueType{kind: yaml.ScalarNode, want: "seconds or a duration", schema: object{
		"type":    []string{"string", "number"},
		"minimum": 0, "maximum": int(MaxTimeout.Seconds()),
		"pattern": `^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)((ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*)?\s*$`,
	}}
}

func ref(def string) object { return object{"$ref": "#/$defs/" + def} }

func typeMap(def string, null bool) valueType {
	return valueType{kind: yaml.MappingNode, null: null, want: "a map", schema: ref(def)}
}

func typeList(def string, null bool) valueType {
	return valueType{kind: yaml.SequenceNode, null: null, want: "a list", schema: object{"type": "array", "items": ref(def)}}
}

func typeDeps(def string) valueType { return typeList(def, true) }

func typeHosts() valueType {
	t := typeList("host", false)
	t.schema["minItems"] = 1
	return t
}

// typeNames is a list of names that match pattern.
func typeNames(what, pattern string, null bool) valueType {
	return valueType{kind: yaml.SequenceNode, null: null, want: "a list", schema: object{
		"type": "array", "uniqueItems": true,
		"items": object{"type": anyScalar(), "pattern": pattern, "description": "Name of " + article(what) + " " + what + "."},
	}}
}

func article(noun string) string {
	if strings.IndexByte("aeiou", noun[0]) >= 0 {
		return "an"
	}
	return "a"
}

func typeEnums(values ...string) valueType {
	return valueType{kind: yaml.SequenceNode, want: "a list", schema: object{
		"type": "array", "minItems": 1, "uniqueItems": true, "items": object{"enum": values},
	}}
}

func typeGlobs() valueType {
	return valueType{kind: yaml.SequenceNode, want: "a list", schema: object{
		"type": "array", "minItems": 1, "items": object{"type": anyScalar(), "pattern": `\S`},
	}}
}

func typeProjects() valueType {
	return valueType{kind: yaml.MappingNode, want: "a map", schema: object{
		"type": "object", "minProperties": 1, "propertyNames": object{"pattern": projectNamePattern}, "additionalProperties": ref("project"),
	}}
}

func typePools() valueType {
	return valueType{kind: yaml.MappingNode, want: "a map", schema: object{
		"type": "object", "minProperties": 1, "propertyNames": object{"pattern": projectNamePattern}, "additionalProperties": ref("pool"),
	}}
}

func typeMembers() valueType {
	t := typeList("member", false)
	t.schema["minItems"] = 1
	return t
}

// matrixSchema is that of a matrix, whose keys are names of variables.
func matrixSchema() object {
	entries := object{"type": "array", "minItems": 1, "items": object{
		"type": "object", "minProperties": 1, "propertyNames": object{"pattern": envNamePattern}, "additionalProperties": object{"type": anyScalar()},
	}}
	return object{
		"type": "object", "minProperties": 1, "propertyNames": object{"pattern": envNamePattern},
		"properties":           object{"include": entries, "exclude": entries},
		"additionalProperties": object{"type": "array", "minItems": 1, "items": object{"type": anyScalar()}},
	}
}

func typeVars() valueType {
	return valueType{kind: yaml.MappingNode, null: true, want: "a map", schema: object{
		"type": "object", "propertyNames": object{"pattern": envNamePattern}, "additionalProperties": object{"type": anyScalar()},
	}}
}

func typeTrigger() valueType {
	events := object{}
	for _, name := range triggerEvents() {
		events[name] = object{"anyOf": []object{ref("filters"), {"type": "null"}}}
	}
	return valueType{want: "true, a list or a map", schema: object{"anyOf": append(
		typeBool().schema["anyOf"].([]object),
		typeEnums(triggerEvents()...).schema,
		object{"type": "object", "minProperties": 1, "properties": events, "additionalProperties": false},
	)}}
}

func typeRetry() valueType {
	return valueType{want: "a number or a map", schema: object{"anyOf": []object{typeInt(0, MaxRetries).schema, ref("retry")}}}
}
