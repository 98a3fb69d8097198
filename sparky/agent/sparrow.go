package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// sparrowJob is the data of a job that is no cromt job: a sparrowfile.
type sparrowJob struct {
	Sparrowfile string            `json:"sparrowfile"`
	Config      json.RawMessage   `json:"config,omitempty"`  // any JSON, config() of the sparrowfile
	Folder      bool              `json:"folder,omitempty"`  // it is read from its project's folder when it starts
	Secrets     map[string]string `json:"secrets,omitempty"` // tags that are kept no longer than this
}

// decodeSparrow reads what a queued job's data is when it is no cromt job's.
func decodeSparrow(data []byte) (*sparrowJob, error) {
	var job sparrowJob
	if err := json.Unmarshal(data, &job); err != nil {
		return nil, err
	}
	return &job, nil
}

// The markers by which Sparky passes what its lists of tags cannot hold.
var (
	tagEncoder = strings.NewReplacer(",", "___comma___", "=", "___eq___", "\n", "___nl___",
		" ", "___space___", "\t", "___space___", "\r", "___space___")
	tagDecoder = strings.NewReplacer("___comma___", ",", "___eq___", "=", "___nl___", "\n", "___space___", " ")
)

// encodeTags joins tags as a Sparky does.
func encodeTags(tags map[string]string) string {
	parts := make([]string, 0, len(tags))
	for _, k := range sortedKeys(tags) {
		parts = append(parts, k+"="+tagEncoder.Replace(tags[k]))
	}
	return strings.Join(parts, ",")
}

// decodeTags reads a list such as "a=1,b=2", with white space around its
// parts as YAML's folded texts have it.
func decodeTags(list string) map[string]string {
	tags := map[string]string{}
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		k, v, found := strings.Cut(part, "=")
		if !found {
			v = "True"
		}
		tags[tagDecoder.Replace(k)] = tagDecoder.Replace(v)
	}
	return tags
}

// mergeTrigger gives a child what it inherits from its parent's trigger: the
// settings that it does not make itself, and the tags if it has none.
func mergeTrigger(cfg *jobConfig, inherited map[string]any) {
	list, _ := inherited["tags"].(string)
	if own, ok := cfg.Sparrowdo["tags"].(string); ok {
		list = own
	}
	if len(cfg.Tags) == 0 && list != "" {
		cfg.Tags = decodeTags(list)
	}
	merged := map[string]any{}
	for k, v := range inherited {
		merged[k] = v
	}
	for k, v := range cfg.Sparrowdo {
		merged[k] = v
	}
	delete(merged, "tags")
	for _, place := range places { // the first that the child names excludes the others
		if isSet(cfg.Sparrowdo[place]) {
			for _, other := range places {
				if other != place {
					delete(merged, other)
				}
			}
			break
		}
	}
	if isSet(cfg.Sparrowdo["sudo"]) {
		delete(merged, "no_sudo")
	}
	if cfg.Sparrowdo = merged; len(merged) == 0 {
		cfg.Sparrowdo = nil
	}
}

// places are the settings that say where a sparrowfile runs.
var places = []string{"localhost", "host", "docker"}

func isSet(v any) bool { return v != nil && v != false && v != "" }

// plainValue is what sparrowdo's settings may be: it pastes them into lines of
// shell without quotes.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9._:/@=,+~%-]*$`)

// sparrowdoArgs returns the arguments of the command sparrowdo.
func sparrowdoArgs(project string, settings map[string]any, tags map[string]string) ([]string, error) {
	args := []string{"--prefix=" + project}
	place := "--localhost"
	for _, key := range []string{"host", "docker"} {
		if v, ok := settings[key].(string); ok && v != "" {
			place = "--" + key + "=" + v
		}
	}
	args = append(args, place)
	for _, key := range []string{"image", "repo", "sync", "conf", "ssh_user", "ssh_private_key", "ssh_port", "secretsfile"} {
		if v := settings[key]; isSet(v) {
			args = append(args, fmt.Sprintf("--%s=%v", key, v))
		}
	}
	for _, key := range []string{"no_sudo", "no_index_update", "verbose", "debug", "bootstrap"} {
		if isSet(settings[key]) {
			args = append(args, "--"+key)
		}
	}
	for _, arg := range args {
		if !plainValue.MatchString(arg) {
			return nil, fmt.Errorf("sparrowdo setting %q: may hold letters, digits and ._:/@=,+~%%- only: sparrowdo would give the rest to a shell", cut(arg, 100))
		}
	}
	for k, v := range tags {
		if strings.ContainsAny(k+v, "'\x00") { // they would end the quotes of its shell script
			return nil, fmt.Errorf("tag %q: holds an apostrophe or a NUL byte, which sparrowdo cannot pass", cut(k, 50))
		}
	}
	return append(args, "--tags="+encodeTags(tags), "--color"), nil
}

// rakuValue writes JSON as a Raku literal.
func rakuValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "Any"
	case bool:
		if v {
			return "Bool::True"
		}
		return "Bool::False"
	case json.Number:
		return v.String()
	case string:
		return rakuString(v)
	case []any:
		var b strings.Builder
		b.WriteString("$[")
		for _, item := range v {
			b.WriteString(rakuValue(item) + ", ")
		}
		return b.String() + "]"
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		var b strings.Builder
		b.WriteString("${")
		for _, k := range keys {
			b.WriteString(rakuString(k) + " => " + rakuValue(v[k]) + ", ")
		}
		return b.String() + "}"
	}
	return "Any" // JSON has nothing else
}

// rakuConfig turns a request's sparrowdo-config into the text of config.raku.
func rakuConfig(data json.RawMessage) (string, error) {
	if len(data) == 0 || string(data) == "null" {
		return "${}\n", nil
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", errors.New("sparrowdo-config: not JSON")
	}
	return rakuValue(v) + "\n", nil
}
