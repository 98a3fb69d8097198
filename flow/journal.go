package flow

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Digest tells plans apart: two plans with the same jobs on the same hosts
// doing the same have the same digest. A run is resumed only with its plan.
func (p *Plan) Digest() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, j := range p.Jobs {
		what := []any{j.Key, j.Host, j.Queue, j.QueueID, j.Actions, j.Options, j.Vars, j.Secrets, j.Sparrowdo, j.Source, j.Out, len(j.In), len(j.Needs)}
		if j.Pool != "" {
			what = append(what, j.Pool, j.PoolLabels)
		}
		if err := enc.Encode(what); err != nil {
			panic(err) // only strings, bools and numbers are in it
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ErrRunComplete is wrapped by the error for the journal of a run with which
// there is nothing to go on.
var ErrRunComplete = errors.New("is of a run that is complete")

// ErrOtherPlan is wrapped by the error for the events of another plan's run.
var ErrOtherPlan = errors.New("is of another plan")

// Journal is a Reporter that keeps a run's events in a file, one JSON object
// a line, synced to disk before Report returns. What it holds is enough to
// resume the run after its process is gone.
type Journal struct {
	f   *os.File
	buf bytes.Buffer
}

// OpenJournal opens or creates a journal. A last line that was cut off by a
// crash was never acknowledged, and is removed.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal open: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("journal %s: in use by another run: %w", path, err)
	}
	return &Journal{f: f}, nil
}

// record is an Event as a line of the journal.
type record struct {
	Time       time.Time  `json:"time"`
	Kind       EventKind  `json:"kind"`
	Run        string     `json:"run"`
	Job        string     `json:"job,omitempty"`
	Attempt    int        `json:"attempt,omitempty"`
	JobID      string     `json:"job_id,omitempty"`
	Host       string     `json:"host,omitempty"` // of a job on a pool; of others the plan has it
	Result     *Result    `json:"result,omitempty"`
	Log        string     `json:"log,omitempty"`
	Source     *Source    `json:"source,omitempty"`
	Commit     string     `json:"commit,omitempty"`
	Conclusion Conclusion `json:"conclusion,omitempty"`
	Message    string     `json:"message,omitempty"`
	RetryAt    time.Time  `json:"retry_at,omitzero"`
	Mark       *Mark      `json:"mark,omitempty"`
}

// EncodeEvent returns the event as one line of JSON, without its end, for
// DecodeEvents.
func EncodeEvent(ev *Event) ([]byte, error) {
	rec := record{
		Time: ev.Time, Kind: ev.Kind, Run: ev.Run, Attempt: ev.Attempt, JobID: ev.JobID, Result: ev.Result,
		Log: ev.Log, Commit: ev.Commit, Conclusion: ev.Conclusion, Message: ev.Message, RetryAt: ev.RetryAt, Mark: ev.Mark,
	}
	if ev.Job != nil {
		rec.Job = ev.Job.Key
		if ev.Job.Pool != "" {
			rec.Host = ev.Host
		}
	}
	if ev.Source != (Source{}) {
		rec.Source = &ev.Source
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("event encode: %w", err)
	}
	return line, nil
}

// DecodeEvents returns the events of lines that EncodeEvent made, all of a
// run of the plan. Those of another plan are an error that wraps ErrOtherPlan.
func DecodeEvents(p *Plan, lines [][]byte) ([]Event, error) {
	jobs := make(map[string]*Job, len(p.Jobs))
	for _, job := range p.Jobs {
		jobs[job.Key] = job
	}
	events := make([]Event, 0, len(lines))
	for i, line := range lines {
		ev, err := decodeRecord(line, jobs)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i+1, err)
		}
		// Before the others, whose jobs this plan may not have.
		if i == 0 && (ev.Kind != RunStarted || ev.Message != p.Digest()) {
			return nil, ErrOtherPlan
		}
		events = append(events, ev)
	}
	return events, nil
}

// Report implements Reporter: the batch is on disk, or an error is returned.
func (j *Journal) Report(_ context.Context, events []Event) error {
	j.buf.Reset()
	for i := range events {
		line, err := EncodeEvent(&events[i])
		if err != nil {
			return err
		}
		j.buf.Write(line)
		j.buf.WriteByte('\n')
	}
	if _, err := j.f.Write(j.buf.Bytes()); err != nil {
		return fmt.Errorf("journal write: %w", err)
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("journal sync: %w", err)
	}
	return nil
}

// History returns what the journal holds, for RunOptions.History, and the id
// of its run. The journal of another plan, and one whose run is complete, are
// errors. An empty journal is an empty history.
func (j *Journal) History(p *Plan) (id string, events []Event, err error) {
	if _, err := j.f.Seek(0, io.SeekStart); err != nil {
		return "", nil, fmt.Errorf("journal read: %w", err)
	}
	br := bufio.NewReader(j.f)
	var good int64
	var lines [][]byte
	for {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, fmt.Errorf("journal read: %w", err)
		}
		good += int64(len(line))
		lines = append(lines, line)
	}
	events, err = DecodeEvents(p, lines)
	if errors.Is(err, ErrOtherPlan) {
		return "", nil, fmt.Errorf("journal %s %w; name another file", j.f.Name(), err)
	}
	if err != nil {
		return "", nil, fmt.Errorf("journal %s, %w", j.f.Name(), err)
	}
	if err := j.f.Truncate(good); err != nil {
		return "", nil, fmt.Errorf("journal mend: %w", err)
	}
	if _, err := j.f.Seek(good, io.SeekStart); err != nil {
		return "", nil, fmt.Errorf("journal mend: %w", err)
	}
	if len(events) == 0 {
		return "", nil, nil
	}
	if events[len(events)-1].Kind == RunCompleted {
		return "", nil, fmt.Errorf("journal %s %w; name another file", j.f.Name(), ErrRunComplete)
	}
	return events[0].Run, events, nil
}

func decodeRecord(line []byte, jobs map[string]*Job) (Event, error) {
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil {
		return Event{}, err
	}
	ev := Event{
		Time: rec.Time, Kind: rec.Kind, Run: rec.Run, Attempt: rec.Attempt, JobID: rec.JobID, Result: rec.Result,
		Log: rec.Log, Commit: rec.Commit, Conclusion: rec.Conclusion, Message: rec.Message, RetryAt: rec.RetryAt, Mark: rec.Mark,
	}
	if rec.Source != nil {
		ev.Source = *rec.Source
	}
	if rec.Job != "" {
		if ev.Job = jobs[rec.Job]; ev.Job == nil {
			return Event{}, fmt.Errorf("job %q is not in the plan", rec.Job)
		}
		if ev.Host = rec.Host; ev.Host == "" && ev.Attempt > 0 {
			ev.Host = ev.Job.Host
		}
	}
	return ev, nil
}

// Close closes the journal's file.
func (j *Journal) Close() error { return j.f.Close() }
