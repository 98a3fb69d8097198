package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// funcs are what templates call.
func (p *pages) funcs() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return p.names[name] },
		"icon":  icon, "word": stateWord, "took": took, "ago": func(t time.Time) string { return ago(t, time.Now()) },
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"short": func(sha string) string { return flow.PlainText(sha[:min(len(sha), 7)]) },
		"plain": flow.PlainText, "bytes": size, "count": count,
		"runURL": runURL, "jobURL": jobURL, "repoURL": p.repoURL, "version": func() string { return p.Version },
	}
}

// The states that are none of flow's.
const (
	statePending = "pending" // a job that waits for others
	stateWaiting = string(store.Waiting)
)

// stateOf is the one word for how a run is.
func stateOf(r *store.Run) string {
	if r.State == store.Completed {
		return orNeutral(string(r.Conclusion))
	}
	return string(r.State)
}

// stateOfJob is the one word for how a job is.
func stateOfJob(status flow.Status, conclusion flow.Conclusion, attempts int) string {
	switch {
	case status == flow.StatusCompleted:
		return orNeutral(string(conclusion))
	case status == flow.StatusQueued && attempts == 0:
		return statePending
	}
	return string(status)
}

func orNeutral(s string) string {
	if s == "" {
		return string(flow.Neutral)
	}
	return s
}

// stateWord is a state in words.
func stateWord(state string) string {
	switch state {
	case string(flow.Success):
		return "Succeeded"
	case string(flow.Failure):
		return "Failed"
	case string(flow.TimedOut):
		return "Timed out"
	case string(flow.Cancelled):
		return "Cancelled"
	case string(flow.Skipped):
		return "Skipped"
	case string(flow.Neutral):
		return "Neutral"
	case string(flow.StatusInProgress):
		return "Running"
	case string(flow.StatusQueued):
		return "Queued"
	case statePending:
		return "Waiting for others"
	case stateWaiting:
		return "Waiting for approval"
	}
	return state
}

// icon is a sign of its own for each state, so that colour is not the only
// one; the word is beside it.
func icon(state string) template.HTML {
	path := "M8 4.5v4l2.5 1.5" // a clock's hands
	switch state {
	case string(flow.Success):
		path = "M4.8 8.3l2.2 2.2 4.2-4.6"
	case string(flow.Failure):
		path = "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"
	case string(flow.TimedOut):
		path = "M5.4 4.8h5.2L8 8l2.6 3.2H5.4L8 8z"
	case string(flow.Cancelled):
		path = "M4.6 11.4l6.8-6.8"
	case string(flow.Skipped):
		path = "M5.2 5.5L7.8 8l-2.6 2.5M8.6 5.5L11.2 8l-2.6 2.5"
	case string(flow.Neutral):
		path = "M5 8h6"
	case string(flow.StatusInProgress):
		return `<svg class="ic in_progress" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6.5" class="ring"/><path class="turn" d="M8 1.5a6.5 6.5 0 0 1 6.5 6.5"/><circle cx="8" cy="8" r="2.5" class="dot"/></svg>`
	case statePending:
		path = "M5.2 8h.01M8 8h.01M10.8 8h.01"
	case stateWaiting:
		path = "M6.2 5.2v5.6M9.8 5.2v5.6"
	case string(flow.StatusQueued):
	default:
		state = string(flow.Neutral)
	}
	return template.HTML(`<svg class="ic ` + state + `" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="7"/><path d="` + path + `"/></svg>`) //nolint:gosec // of the words above alone
}

// took is a duration for people: two units at most.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
}

// ago is how long before now a time was.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "never"
	case d < 45*time.Second:
		return "just now"
	case d < 50*time.Minute:
		return count(max(1, int(d.Minutes()+0.5)), "minute") + " ago"
	case d < 22*time.Hour:
		return count(max(1, int(d.Hours()+0.5)), "hour") + " ago"
	case d < 30*24*time.Hour:
		return count(max(1, int(d.Hours()/24+0.5)), "day") + " ago"
	}
	return "on " + t.UTC().Format("2 Jan 2006")
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s + " " + thing + "s"
}

// size is a number of bytes.
func size(n int64) string {
	const units = "KMGT"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1000, 0
	for f >= 999.5 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	return strings.Replace(fmt.Sprintf("%.1f %cB", f, units[unit]), ".0 ", " ", 1)
}
