package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// getTrigger gives what a Raku client evaluates before it queues a child job.
func (a *Agent) getTrigger(w http.ResponseWriter, r *http.Request, n names) {
	_, rec := a.known(w, r, n)
	if rec == nil {
		return
	}
	var cfg jobConfig
	if len(rec.Config) > 0 {
		if err := json.Unmarshal(rec.Config, &cfg); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	writeText(w, http.StatusOK, triggerHash(a.cfg.Root, rec, cfg))
}

func triggerHash(root string, rec *record, cfg jobConfig) string {
	pairs := map[string]string{}
	for k, v := range cfg.Sparrowdo {
		switch v := v.(type) {
		case bool:
			pairs[k] = "Bool::True"
			if !v {
				pairs[k] = "Bool::False"
			}
		case string:
			pairs[k] = rakuString(v)
		case float64:
			pairs[k] = rakuString(strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	if pairs["host"] == "" && pairs["docker"] == "" {
		pairs["localhost"] = "Bool::True"
	}
	tags := map[string]string{}
	for k, v := range cfg.Tags {
		tags[k] = v
	}
	tags["SPARKY_PROJECT"], tags["SPARKY_JOB_ID"], tags["SPARKY_WORKER"] = rec.Project, rec.ID, "localhost"
	pairs["tags"] = rakuString(encodeTags(tags))
	var b strings.Builder
	fmt.Fprintf(&b, "{:cwd(%s), :description(%s), :sparrowdo(${", rakuString(root+"/"+dirWork+"/"+rec.ID+"/"), rakuString(cfg.Description))
	sep := ""
	for _, k := range sortedKeys(pairs) {
		if isEnvName(k) { // others cannot be written as :name
			fmt.Fprintf(&b, "%s:%s(%s)", sep, k, pairs[k])
			sep = ", "
		}
	}
	b.WriteString("})}")
	return b.String()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// rakuString writes s as a literal that evaluates to s and to nothing else:
// whatever could mean something in it is written by its number.
func rakuString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "�") {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(" ._:/=,+-", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\x[%X]`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
