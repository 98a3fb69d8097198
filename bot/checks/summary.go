package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cromt/cromt/flow"
)

// Summary returns the run as Markdown of at most limit bytes: one line of
// result, notes, a table of the jobs, the graph, the ends of the logs of those
// that failed, artifacts. What does not fit is left out at the border of a
// row or of a part, and a sentence in its place says what that was. Room goes
// first to the result and the jobs that did not succeed, then to the logs'
// ends, the graph, the jobs that succeeded, and the artifacts.
func Summary(v View, limit int) string {
	if limit < minSummary {
		return clipBytes(runState(v.Run).mark()+" "+Title(v.Run), limit)
	}
	head := resultLine(v)
	room := limit - len(head) - 5*noteRoom // five parts may have to say that they are cut
	take := func(part string) string {
		room -= len(part) + 1
		return part
	}
	notes := take(notesPart(v, room/4))
	jobs := newTable(v)
	room -= jobs.addTroubled(room)
	failed := take(tailsPart(v, room))
	graph := take(graphPart(v, room))
	room -= jobs.addPassed(room)
	artifacts := artifactsPart(v.Run.Jobs, room)

	var b strings.Builder
	b.WriteString(head)
	for _, part := range []string{notes, jobs.String(), graph, failed, artifacts} {
		if part != "" {
			b.WriteByte('\n')
			b.WriteString(part)
		}
	}
	return b.String()
}

// clipBytes cuts s to at most limit bytes, at the border of a character.
func clipBytes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:max(limit, 0)], "")
}

// resultLine is "✅ **3 succeeded in 5s** on 2 hosts, commit `0123456`, run `r-1`".
func resultLine(v View) string {
	r := v.Run
	s := runState(r)
	line := s.mark() + " **" + Title(r) + "**"
	if s == stateRunning {
		line += ", running"
		if d := duration(r.StartedAt, v.Now); d != "" {
			line += " for " + d
		}
	}
	hosts := make(map[string]bool)
	for i := range r.Jobs {
		hosts[r.Jobs[i].Where()] = true
	}
	if len(hosts) > 0 {
		line += " on " + many(len(hosts), "host")
	}
	if r.SHA != "" {
		line += ", commit " + commit(r.SHA)
	}
	if r.WorkingTree {
		line += " with changes that are not committed"
	}
	if r.ID != "" {
		line += ", run " + link(code(oneLine(r.ID, maxName)), v.RunURL)
	}
	return line + "\n"
}

// commit is the beginning of a commit's hash.
func commit(sha string) string {
	sha = oneLine(sha, maxName)
	const short = 7 // as git and GitHub write it
	if len(sha) > short && strings.Trim(sha, "0123456789abcdefABCDEF") == "" {
		sha = sha[:short]
	}
	return code(sha)
}

// notesPart is a list of what people have to know besides the result.
func notesPart(v View, room int) string {
	var b strings.Builder
	left := 0
	for i, list := range [][]string{v.Notes, v.Run.Notes} {
		for _, n := range list {
			if i > 0 && slices.Contains(v.Notes, n) {
				continue
			}
			item := "- Note: " + plain(oneLine(n, maxNote)) + "\n"
			if left > 0 || strings.Count(b.String(), "\n") >= MaxNotes || b.Len()+len(item) > room {
				left++
				continue
			}
			b.WriteString(item)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "- … and %s\n", many(left, "more note"))
	}
	return b.String()
}

// graphPart is the plan's graph, coloured by how far its jobs are.
func graphPart(v View, room int) string {
	if v.Plan == nil || len(v.Plan.Invocations) < 2 {
		return "" // one box says nothing that the table does not
	}
	edges := 0
	for _, inv := range v.Plan.Invocations {
		edges += len(inv.Before) + len(inv.After)
	}
	if edges > MaxGraphEdges {
		return fmt.Sprintf("The graph is left out: it has %d edges, and GitHub draws at most %d.\n", edges, MaxGraphEdges)
	}
	states := make(map[string]*flow.JobReport, len(v.Run.Jobs))
	for i := range v.Run.Jobs {
		states[v.Run.Jobs[i].Key] = &v.Run.Jobs[i]
	}
	text := v.Plan.Mermaid(func(j *flow.Job) (flow.Status, flow.Conclusion) {
		if r := states[j.Key]; r != nil {
			return r.Status, r.Conclusion
		}
		return flow.StatusQueued, ""
	})
	if len(text) > MaxGraphBytes {
		return fmt.Sprintf("The graph is left out: it has %d bytes, and GitHub draws at most %d.\n", len(text), MaxGraphBytes)
	}
	block := fence("mermaid", strings.Split(strings.TrimRight(text, "\n"), "\n"))
	if len(block) > room {
		return "The graph is left out: it does not fit here.\n"
	}
	return block
}

// artifactsPart is a table of what the jobs produced.
func artifactsPart(jobs []flow.JobReport, room int) string {
	head := tableHead("Artifact", "Size", "SHA-256", "Made by", "Host")
	var b strings.Builder
	shown, left := 0, 0
	for i := range jobs {
		j := &jobs[i]
		for k := range j.Artifacts {
			if left > 0 || shown >= MaxArtifactRows {
				left++
				continue
			}
			line := artifactRow(j, &j.Artifacts[k])
			if len(head)+b.Len()+len(line) > room {
				left++
				continue
			}
			b.WriteString(line)
			shown++
		}
	}
	switch {
	case shown == 0 && left == 0:
		return ""
	case shown == 0:
		return many(left, "artifact") + " left out: the table does not fit here.\n"
	case left == 0:
		return head + b.String()
	}
	return head + b.String() + "\n… and " + many(left, "more artifact") + "\n"
}

func artifactRow(j *flow.JobReport, a *flow.Artifact) string {
	const shortSum = 12 // characters: enough to compare by eye
	host := a.Host
	if host == "" {
		host = j.Host
	}
	return row(code(oneLine(a.File, maxName)), size(a.Bytes), code(clipBytes(oneLine(a.SHA256, maxName), shortSum)),
		code(oneLine(j.Key, maxName)), code(oneLine(host, maxName)))
}

// size is a number of bytes as people say it.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n)/1024, "KMGTPE"
	for f >= 1023.95 && len(units) > 1 {
		f, units = f/1024, units[1:]
	}
	return fmt.Sprintf("%.1f %ciB", f, units[0])
}
