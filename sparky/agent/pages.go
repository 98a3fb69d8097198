package agent

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cromt/cromt/sparky"
)

// getReportJID leads people from a job-id to its page.
func (a *Agent) getReportJID(w http.ResponseWriter, r *http.Request, n names) {
	_, rec := a.known(w, r, n)
	switch {
	case rec == nil:
	case rec.State == sparky.CodeQueued || rec.Pruned:
		w.WriteHeader(http.StatusNotFound)
	default:
		redirect(w, fmt.Sprintf("/report/%s/%d", rec.Project, rec.Seq))
	}
}

func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// badges are the words and colours of a Sparky's badges.
func badge(state sparky.Code) (text, colour string) {
	switch state {
	case sparky.CodeOK:
		return "OK", "green"
	case sparky.CodeFailed:
		return "FAIL", "red"
	case sparky.CodeCancelled:
		return "TERM", "red"
	case sparky.CodeRunning:
		return "Run", "yellow"
	}
	return "UNKOWN", "gray" //nolint:misspell // so spelled by a Sparky
}

func (a *Agent) getBadge(w http.ResponseWriter, r *http.Request, n names) {
	recs, err := a.store.list(r.Context(), `WHERE pruned = 0 AND project = ? AND state <> ? ORDER BY seq DESC LIMIT 1`,
		n.project, int(sparky.CodeQueued))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	state := sparky.CodeQueued
	if len(recs) > 0 {
		state = recs[0].State
	}
	text, colour := badge(state)
	redirect(w, "https://img.shields.io/static/v1?label=Sparky&message=Build+%7C+"+text+"&color="+colour)
}

func (a *Agent) getReportPage(w http.ResponseWriter, r *http.Request, n names) {
	seq, err := strconv.ParseInt(n.file, 10, 64)
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	recs, err := a.store.list(r.Context(), `WHERE pruned = 0 AND project = ? AND seq = ?`, n.project, seq)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if len(recs) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	j, rec := a.known(w, r, names{project: n.project, job: recs[0].ID})
	if rec == nil {
		return
	}
	log, err := a.logChunk(j, rec, max(0, rec.LogSize-sparky.MaxLogChunk), sparky.MaxLogChunk)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	text, _ := badge(rec.State)
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s %s: %s</h1>\n<p>%s</p>\n", html.EscapeString(rec.Project), html.EscapeString(rec.ID), text, html.EscapeString(rec.Error))
	if rec.LogSize > sparky.MaxLogChunk {
		fmt.Fprintf(&b, "<p>the last %d of %d bytes</p>\n", len(log), rec.LogSize)
	}
	fmt.Fprintf(&b, "<pre>%s</pre>\n", html.EscapeString(strings.ToValidUTF8(string(log), "�")))
	writePage(w, rec.ID, b.String())
}

func (a *Agent) getIndex(w http.ResponseWriter, r *http.Request, _ names) {
	a.listPage(w, r, "builds", `WHERE pruned = 0 ORDER BY seq DESC LIMIT ?`, maxList)
}

func (a *Agent) getProject(w http.ResponseWriter, r *http.Request, n names) {
	a.listPage(w, r, n.project, `WHERE pruned = 0 AND project = ? ORDER BY seq DESC LIMIT ?`, n.project, maxList)
}

func (a *Agent) listPage(w http.ResponseWriter, r *http.Request, title, query string, args ...any) {
	recs, err := a.store.list(r.Context(), query, args...)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s</h1>\n<ul>\n", html.EscapeString(title))
	for _, rec := range recs {
		text, _ := badge(rec.State)
		if rec.State == sparky.CodeQueued {
			text = "queued"
		}
		fmt.Fprintf(&b, `<li><a href="/report/%s/%d">%s %s</a> %s</li>`+"\n", rec.Project, rec.Seq,
			html.EscapeString(rec.Project), html.EscapeString(rec.ID), text)
	}
	b.WriteString("</ul>\n")
	writePage(w, title, b.String())
}

func writePage(w http.ResponseWriter, title, body string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	fmt.Fprintf(w, "<!doctype html><html lang=en><meta charset=utf-8><title>%s</title>\n%s</html>\n", html.EscapeString(title), body)
}

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
	tags := map[string]string{"SPARKY_PROJECT": rec.Project, "SPARKY_JOB_ID": rec.ID, "SPARKY_WORKER": "localhost"}
	for k, v := range cfg.Tags {
		tags[k] = v
	}
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

// encodeTags joins tags as a Sparky does.
func encodeTags(tags map[string]string) string {
	encode := strings.NewReplacer(",", "___comma___", "=", "___eq___", "\n", "___nl___", " ", "___space___", "\t", "___space___", "\r", "___space___")
	parts := make([]string, 0, len(tags))
	for _, k := range sortedKeys(tags) {
		parts = append(parts, k+"="+encode.Replace(tags[k]))
	}
	return strings.Join(parts, ",")
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
