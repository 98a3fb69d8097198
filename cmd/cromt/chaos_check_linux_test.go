package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// account is what is known of a run from outside: what its jobs wrote down
// themselves, its journal, and its report.
type account struct {
	d      *dag
	ledger []entry
	queued []map[string]string // of each job: job-id to queue
	last   []string            // of each job: the job-id of its last attempt
	ends   []flow.Conclusion   // of each job: journalled
	causes []flow.Cause
	errors []string
	lost   []bool // it was lost at the end
	whole  flow.Conclusion
	report *flow.Run // nil: killed before it was written
}

// entry is a line of the ledger.
type entry struct {
	end   bool
	job   int
	id    string
	exit  int
	start int // of an end: the index of its start
}

// chaosRecord is what is of interest of a line of the journal.
type chaosRecord struct {
	Kind       flow.EventKind
	Job        string
	JobID      string `json:"job_id"`
	Result     *flow.Result
	Conclusion flow.Conclusion
}

// read reads them, and checks that there is one end of everything.
func (d *dag) read(t testing.TB) *account {
	t.Helper()
	n := len(d.jobs)
	a := &account{d: d, queued: make([]map[string]string, n), last: make([]string, n), ends: make([]flow.Conclusion, n),
		causes: make([]flow.Cause, n), errors: make([]string, n), lost: make([]bool, n)}
	a.readJournal(t)
	a.readLedger(t)
	data, err := os.ReadFile(d.path("report.json"))
	if err == nil && len(data) > 0 {
		a.report = new(flow.Run)
		err = json.Unmarshal(data, a.report)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: report: %v", d.dir, err)
	}
	if a.report != nil {
		a.compareReport(t)
	}
	return a
}

func (a *account) readJournal(t testing.TB) {
	t.Helper()
	data, err := os.ReadFile(a.d.path("journal"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var r chaosRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Errorf("%s: journal: %v: %q", a.d.dir, err, line)
			return
		}
		if a.whole != "" {
			t.Errorf("%s: the journal goes on after the run's end: %s", a.d.dir, line)
		}
		if r.Kind == flow.RunCompleted {
			a.whole = r.Conclusion
		}
		if r.Job == "" {
			continue
		}
		job := a.d.number(r.Job)
		if a.ends[job] != "" {
			t.Errorf("%s: %s goes on after its end: %s", a.d.dir, r.Job, line)
		}
		switch r.Kind {
		case flow.JobQueued:
			a.last[job] = r.JobID
			if a.queued[job] == nil {
				a.queued[job] = map[string]string{}
			}
			a.queued[job][r.JobID] = ""
		case flow.AttemptCompleted:
			a.lost[job] = r.Result.Lost
		case flow.JobCompleted:
			a.ends[job], a.causes[job], a.errors[job] = r.Result.Conclusion, r.Result.Cause, r.Result.Error
		}
	}
	if a.whole == "" {
		t.Errorf("%s: the run has no end", a.d.dir)
	}
}

// number is which job has the key p4@host.
func (d *dag) number(key string) int {
	name, _, _ := strings.Cut(strings.TrimPrefix(key, "p"), "@")
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || n >= len(d.jobs) {
		panic("not a job of this flow: " + key)
	}
	return n
}

func (a *account) readLedger(t testing.TB) {
	t.Helper()
	data, err := os.ReadFile(a.d.path("ledger"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	starts := map[string]int{}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		e := entry{end: f[0] == "E", job: a.d.number(f[1]), id: f[2], start: -1}
		if at, ok := starts[e.id]; ok != e.end {
			t.Errorf("%s: job %s ran twice, or ended without a start: %q", a.d.dir, e.id, line)
		} else if e.end {
			e.exit, _ = strconv.Atoi(f[3])
			e.start = at
			delete(starts, e.id)
			starts[e.id+" ended"] = at
		} else {
			if _, again := starts[e.id+" ended"]; again {
				t.Errorf("%s: job %s ran again", a.d.dir, e.id)
			}
			starts[e.id] = len(a.ledger)
		}
		a.ledger = append(a.ledger, e)
	}
}

// compareReport holds the report against the journal.
func (a *account) compareReport(t testing.TB) {
	t.Helper()
	if a.report.Conclusion != a.whole {
		t.Errorf("%s: the report says %s, the journal %s", a.d.dir, a.report.Conclusion, a.whole)
	}
	for _, j := range a.report.Jobs {
		n := a.d.number(j.Project)
		if a.ends[n] != j.Conclusion {
			t.Errorf("%s: %s: the report says %s, the journal %q", a.d.dir, j.Key, j.Conclusion, a.ends[n])
		}
	}
}

// check holds what is true whatever goes wrong: a job starts after what it
// needs has ended well, passes only when its last attempt has written its end
// down with exit code 0, and ends badly only for a reason.
func (a *account) check(t testing.TB) {
	t.Helper()
	passed := make([]bool, len(a.d.jobs))
	ended := map[string]int{}
	busy := map[string]entry{} // by queue-id
	for _, e := range a.ledger {
		j := &a.d.jobs[e.job]
		if _, known := a.queued[e.job][e.id]; !known {
			t.Errorf("%s: p%d ran as %s, which is not journalled", a.d.dir, e.job, e.id)
		}
		if e.end {
			passed[e.job] = passed[e.job] || j.ended().Passed()
			ended[e.id] = e.exit
			if busy[j.queue].id == e.id {
				delete(busy, j.queue)
			}
			continue
		}
		for _, n := range j.needs {
			if !passed[n] && !(a.d.jobs[n].ignore && a.ends[n] == flow.Neutral) { // which may be lost
				t.Errorf("%s: p%d started before p%d ended well", a.d.dir, e.job, n)
			}
		}
		if other, taken := busy[j.queue]; taken && j.queue != "" && !a.gaveUp(other) {
			t.Errorf("%s: p%d and p%d ran at once in queue %s", a.d.dir, other.job, e.job, j.queue)
		}
		busy[j.queue] = e
	}
	allPassed := true
	for i, end := range a.ends {
		exit, ran := ended[a.last[i]]
		switch {
		case end == flow.Success && (!ran || exit != 0), end == flow.Neutral && a.causes[i] == flow.CauseTask && (!ran || exit == 0):
			t.Errorf("%s: p%d is %s and its last attempt %s has not ended so (%t, %d)", a.d.dir, i, end, a.last[i], ran, exit)
		case end == flow.Failure && a.causes[i] == flow.CauseTask && (!ran || exit == 0):
			t.Errorf("%s: p%d failed by itself, with exit code 0 or none (%t)", a.d.dir, i, ran)
		case end == "" && a.whole == flow.Success:
			t.Errorf("%s: success, and p%d has no end", a.d.dir, i)
		}
		allPassed = allPassed && end.Passed()
	}
	if (a.whole == flow.Success) != allPassed {
		t.Errorf("%s: the run is %s, its jobs %v", a.d.dir, a.whole, a.ends)
	}
}

// gaveUp says whether the attempt was lost, so that nobody waited for it.
func (a *account) gaveUp(e entry) bool { return a.last[e.job] != e.id || a.lost[e.job] }

// undisturbed checks that every job ended as if nothing had gone wrong, after
// it had started once.
func (a *account) undisturbed(t testing.TB) {
	t.Helper()
	started := make([]int, len(a.ends))
	for _, e := range a.ledger {
		if !e.end {
			started[e.job]++
		}
	}
	for i, want := range a.d.ends() {
		if got := a.ends[i]; got != want && (got != "" || want != flow.Skipped) {
			t.Errorf("%s: p%d is %s (%s: %s), want %s", a.d.dir, i, got, a.causes[i], a.errors[i], want)
		}
		if started[i] > 1 {
			journal, _ := os.ReadFile(a.d.path("journal"))
			t.Errorf("%s: p%d started %d times\n%s", a.d.dir, i, started[i], grepLines(journal, fmt.Sprintf(`"p%d@`, i)))
		}
	}
}

// grepLines returns the lines with the text.
func grepLines(data []byte, text string) []byte {
	var out []byte
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte(text)) {
			out = append(out, line...)
		}
	}
	return out
}

// journalled checks that the host, which has been started anew, knows of every
// job that passed.
func (a *account) journalled(t testing.TB, url string) {
	t.Helper()
	if a.report == nil {
		return
	}
	for _, j := range a.report.Jobs {
		if j.Conclusion != flow.Success {
			continue
		}
		id := j.Attempts[len(j.Attempts)-1].JobID
		if got := get(t, fmt.Sprintf("%s/status/%s/%s", url, j.Queue, id)); got != "1" {
			t.Errorf("%s: %s is green, and %s has status %q on its host", a.d.dir, j.Key, id, got)
		}
	}
}

func get(t testing.TB, url string) string {
	t.Helper()
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(body)
}

// noOrphans checks that no process of the flow is left.
func (d *dag) noOrphans(t testing.TB) {
	t.Helper()
	var left []string
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if left = marked("MARK=" + d.mark); len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	t.Errorf("%s: processes are left: %v", d.dir, left)
}

// noSecret checks that no file below dir has the secret, as it is or in the
// form in which it travels.
func noSecret(t testing.TB, dir string) {
	t.Helper()
	forms := [][]byte{[]byte(chaosSecret), []byte(base64.StdEncoding.EncodeToString([]byte(chaosSecret)))}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Contains(data, f) }) {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
