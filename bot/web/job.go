package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// jobView is a job's page.
type jobView struct {
	Run      *store.Run
	Title    string // of the run
	Job      jobRow
	Attempts []attemptRow
	Attempt  int // whose log it is; 0: there is none yet
	Current  *attemptRow
	Head     template.HTML
	logView
	searchView
	Live   bool
	Events string // where what follows comes from
}

// logView is what is shown of a log.
type logView struct {
	Log      template.HTML
	First    int // number of the first line that is shown
	Last     int
	Total    int
	Size     int64
	Earlier  string // where the lines before are; "" there are none
	Later    string
	Failing  *match // the line that tells why the attempt failed
	ErrorURL string
}

// searchView is what a search has found.
type searchView struct {
	Query   string
	Matches []matchRow
	More    bool // matches than are listed
}

type attemptRow struct {
	store.Attempt
	State    string
	URL      string
	Duration time.Duration
	Selected bool
}

type matchRow struct {
	match
	URL string
}

func logURL(run, job string, attempt int) string {
	return jobURL(run, job) + "/log?attempt=" + strconv.Itoa(attempt)
}

func (p *pages) job(w http.ResponseWriter, r *http.Request, rd *reader) error {
	v, err := p.jobView(r, rd)
	if err != nil {
		return err
	}
	var l *logFile
	var win window
	if v.Attempt > 0 {
		if l, err = p.openLog(r.Context(), v.Run.ID, v.Job.Key, v.Attempt); err != nil {
			return err
		}
		if win, err = p.addLog(r, v, l); err != nil {
			return err
		}
	}
	if v.Events == "" {
		v.Events = jobURL(v.Run.ID, v.Job.Key) + "/events"
	}
	if wantsJSON(r) {
		return writeJSON(w, http.StatusOK, v.json(win))
	}
	if v.Head, err = p.jobHead(v); err != nil {
		return err
	}
	title := stateWord(v.Job.State) + ": " + v.Job.Key + " · " + v.Title + " · " + v.Run.Repo
	return p.html(w, r, rd, http.StatusOK, "job.html", frame{Title: title, Nav: "runs", Content: v})
}

func (p *pages) jobHead(v *jobView) (template.HTML, error) {
	parts := map[string]template.HTML{}
	err := p.part(parts, "job-head", "job-head", v)
	return parts["job-head"], err
}

// jobView returns the job of a request, with the attempt that it selects.
func (p *pages) jobView(r *http.Request, rd *reader) (*jobView, error) {
	run, err := p.visible(r, rd)
	if err != nil {
		return nil, err
	}
	attempt := 0
	if s := r.FormValue("attempt"); s != "" {
		if attempt, err = strconv.Atoi(s); err != nil || attempt < 1 {
			return nil, errNotFound
		}
	}
	return p.lookJob(r.Context(), run, r.PathValue("job"), attempt)
}

// lookJob looks a job up, as it is now. attempt is the one that is selected; 0
// is the last one.
func (p *pages) lookJob(ctx context.Context, run *store.Run, key string, attempt int) (*jobView, error) {
	now := time.Now()
	j, err := p.Store.Job(ctx, run.ID, key)
	if errors.Is(err, store.ErrNotFound) {
		if j, err = p.plannedJob(run, key); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	v := &jobView{Run: run, Title: runTitle(run), Job: p.jobRow(&j, 0, now), Attempt: attempt, Live: j.Status != flow.StatusCompleted && run.State != store.Completed}
	attempts, err := p.Store.Attempts(ctx, run.ID, key)
	if err != nil {
		return nil, err
	}
	if attempt == 0 && len(attempts) > 0 {
		v.Attempt = attempts[len(attempts)-1].Number
	}
	for _, a := range attempts {
		row := attemptRow{Attempt: a, State: stateOfJob(a.Status, a.Conclusion, a.Number), URL: jobURL(run.ID, key) + "?attempt=" + strconv.Itoa(a.Number), Selected: a.Number == v.Attempt}
		end := a.CompletedAt
		if end.IsZero() {
			end = now
		}
		if !a.StartedAt.IsZero() {
			row.Duration = end.Sub(a.StartedAt)
		}
		v.Attempts = append(v.Attempts, row)
	}
	i := slices.IndexFunc(v.Attempts, func(a attemptRow) bool { return a.Selected })
	if i >= 0 {
		v.Current = &v.Attempts[i]
	} else if v.Attempt > 0 {
		return nil, errNotFound
	}
	return v, nil
}

// plannedJob is a job of a run that has not started.
func (p *pages) plannedJob(run *store.Run, key string) (store.Job, error) {
	plan, err := p.plan(run)
	if err != nil {
		return store.Job{}, errNotFound // such a run has no jobs
	}
	for _, j := range planned(run, plan) {
		if j.Key == key {
			return j, nil
		}
	}
	return store.Job{}, errNotFound
}

// addLog adds what is shown of the log.
func (p *pages) addLog(r *http.Request, v *jobView, l *logFile) (win window, err error) {
	ctx, q := r.Context(), r.URL.Query()
	from, _ := strconv.Atoi(q.Get("from"))
	if from > 0 {
		win, err = l.from(ctx, from)
	} else {
		win, err = l.tail(ctx, windowBytes)
	}
	if err != nil {
		return win, err
	}
	v.Size, v.Total, v.First = l.size, l.ends(), win.first
	if len(win.text) > 0 {
		v.Log = logLines(win.first, p.complete(v, &win))
	}
	v.Last = max(win.first+win.lines-1, 0)
	if !v.Live && len(win.text) > 0 && win.text[len(win.text)-1] != '\n' {
		v.Last++
		v.Total = max(v.Total, v.Last)
	}
	self := func(line int) string {
		return fmt.Sprintf("%s?attempt=%d&from=%d", jobURL(v.Run.ID, v.Job.Key), v.Attempt, line)
	}
	if win.first > 1 {
		v.Earlier = self(max(1, win.first-windowLines))
	}
	if !win.whole {
		v.Later = self(v.Last + 1)
	}
	v.Live = v.Live && win.whole
	v.Events = fmt.Sprintf("%s/events?attempt=%d&after=%d&line=%d", jobURL(v.Run.ID, v.Job.Key), v.Attempt, win.next, v.Last+1)
	if err := p.addFailing(ctx, v, l, self); err != nil {
		return win, err
	}
	return win, p.addMatches(r, v, l, self)
}

// complete is the text of the window; while more comes, without the line that
// is not complete yet.
func (p *pages) complete(v *jobView, win *window) []byte {
	if v.Live && win.whole {
		if i := strings.LastIndexByte(string(win.text), '\n') + 1; i < len(win.text) {
			win.next -= int64(len(win.text) - i)
			win.text = win.text[:i]
		}
	}
	return win.text
}

// addFailing finds the line that tells why an attempt failed.
func (p *pages) addFailing(ctx context.Context, v *jobView, l *logFile, self func(int) string) error {
	if v.Current == nil || v.Current.Conclusion != flow.Failure || v.Current.Cause != flow.CauseTask {
		return nil
	}
	win, err := l.tail(ctx, failureBytes)
	if err != nil {
		return err
	}
	if line, n := flow.FirstFailure(string(win.text)); n > 0 {
		v.Failing = &match{Line: win.first + n - 1, Text: line}
		v.ErrorURL = v.lineURL(v.Failing.Line, self)
	}
	return nil
}

// lineURL is where a line is shown.
func (v *jobView) lineURL(line int, self func(int) string) string {
	anchor := fmt.Sprint("#L", line)
	if v.First <= line && line <= v.Last && v.Query == "" {
		return anchor
	}
	return self(max(1, line-50)) + anchor
}

// addMatches searches the whole log for ?q=.
func (p *pages) addMatches(r *http.Request, v *jobView, l *logFile, self func(int) string) error {
	v.Query = field(r.URL.Query(), "q")
	if v.Query == "" {
		return nil
	}
	leave, err := p.scan(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	found, more, err := l.search(r.Context(), v.Query)
	v.More = more
	for _, m := range found {
		v.Matches = append(v.Matches, matchRow{m, v.lineURL(m.Line, self)})
	}
	return err
}

// scan takes a turn among those that read whole logs.
func (p *pages) scan(ctx context.Context) (leave func(), err error) {
	select {
	case p.scans <- struct{}{}:
		return func() { <-p.scans }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// download answers with the whole log as it was printed.
func (p *pages) download(w http.ResponseWriter, r *http.Request, rd *reader) error {
	v, err := p.jobView(r, rd)
	if err != nil {
		return err
	}
	if v.Attempt == 0 {
		return errNotFound
	}
	l, err := p.openLog(r.Context(), v.Run.ID, v.Job.Key, v.Attempt)
	if err != nil {
		return err
	}
	leave, err := p.scan(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	name := strings.Map(func(c rune) rune {
		if c < 0x80 && (c == '-' || c == '.' || c == '_' || c == '@' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return c
		}
		return '_'
	}, v.Job.Key)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%d.log"`, name, v.Attempt))
	out := http.NewResponseController(w)
	err = l.each(r.Context(), 0, func(data []byte) (bool, error) {
		_ = out.SetWriteDeadline(time.Now().Add(writeTime)) // so that nobody takes a turn for ever
		_, err := w.Write(data)
		return err == nil, err
	})
	if err != nil {
		p.Logger.Debug("download", "job", v.Job.Key, "error", err)
	}
	return nil // it has begun
}

func (v *jobView) json(win window) jobPageJSON {
	out := jobPageJSON{Run: newRunJSON(v.Run), Job: newJobJSON(&v.Job.Job), Attempt: v.Attempt, Attempts: []attemptJSON{}}
	for _, a := range v.Attempts {
		out.Attempts = append(out.Attempts, attemptJSON{
			Number: a.Number, Status: a.Status, Conclusion: a.Conclusion, Cause: a.Cause, Error: a.Error, ExitCode: a.ExitCode,
			LogURL: logURL(v.Run.ID, v.Job.Key, a.Number), QueuedAt: a.QueuedAt, StartedAt: a.StartedAt, CompletedAt: a.CompletedAt,
		})
	}
	if v.Attempt > 0 {
		out.Log = &logJSON{From: win.first, Lines: win.lines, Total: v.Total, Bytes: v.Size, Text: strings.ToValidUTF8(string(win.text), "\ufffd"), NextURL: v.Later}
	}
	for _, m := range v.Matches {
		out.Matches = append(out.Matches, matchJSON(m.match))
	}
	return out
}

// RunURL is the page of the job's run, at the row of the job.
func (v *jobView) RunURL() string { return runURL(v.Run.ID) }

// LogURL is where the whole log is.
func (v *jobView) LogURL() string { return logURL(v.Run.ID, v.Job.Key, v.Attempt) }

// Self is the page itself, without what is selected on it.
func (v *jobView) Self() string {
	return (&url.URL{Path: "/runs/" + v.Run.ID}).String() + "/jobs/" + url.PathEscape(v.Job.Key)
}
