package sparky

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cromt/cromt/flow"
)

// metaPrefix begins the lines by which cromt's sparrowfile speaks to this
// side. They are not part of the log.
const metaPrefix = "meta: cromt "

// maxMeta bounds one such line, in bytes.
const maxMeta = 4 << 10

// logSink is where an attempt's log goes: masked, and without ever stopping
// the attempt. It keeps the first error.
type logSink struct {
	out     io.Writer
	w       *flow.Masker
	err     error
	dropped bool
}

func newLogSink(w io.Writer, m *flow.Mask) *logSink {
	if w == nil {
		w = io.Discard
	}
	return &logSink{out: w, w: m.Writer(w)}
}

// hide masks by m from the beginning: nothing has been written yet.
func (s *logSink) hide(m *flow.Mask) { s.w = m.Writer(s.out) }

func (s *logSink) write(p []byte) {
	if s.err == nil && len(p) > 0 {
		_, s.err = s.w.Write(p)
	}
}

// holds reports whether the beginning of a secret may be held back.
func (s *logSink) holds() bool { return s.w.Holds() }

// drop forgets what is held back.
func (s *logSink) drop() { s.dropped = true }

func (s *logSink) flush() error {
	if s.dropped {
		return s.err
	}
	if err := s.w.Flush(); s.err == nil {
		s.err = err
	}
	return s.err
}

// reportReader takes the report of a real Sparky as it grows: it passes on
// what the scenario printed, and keeps what the lines of the job's program
// and of Sparky itself say about the result.
type reportReader struct {
	log  *logSink
	head []byte // of the current line, at most maxMeta bytes
	pass bool   // the current line is the scenario's
	open bool   // an empty line is held back: it may be a meta line's

	result    map[string]string // of the last result line
	step      string            // begun last
	begun     bool              // the scenario
	commit    string
	artifacts []flow.Artifact
	exit      string // N of Sparky's own "exit code: N"
	whole     bool   // the report was read to its end
	err       error  // why it was not
}

func newReportReader(log *logSink) *reportReader { return &reportReader{log: log} }

// Write takes the next part of the report.
func (r *reportReader) Write(p []byte) (int, error) {
	n := len(p)
	p = bytes.ReplaceAll(p, []byte("\r"), nil)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		p = rest
		kept := min(len(part), maxMeta-len(r.head))
		r.head = append(r.head, part[:kept]...)
		switch {
		case r.pass:
			r.log.write(part)
		case !mayBeMeta(r.head):
			r.pass = true
			r.release()
			r.log.write(r.head)
			r.log.write(part[kept:])
		}
		if ended {
			r.endLine("\n")
		}
	}
	return n, nil
}

func mayBeMeta(line []byte) bool {
	n := min(len(line), len(metaPrefix))
	return string(line[:n]) == metaPrefix[:n]
}

func (r *reportReader) endLine(end string) {
	line := string(r.head)
	rest, isMeta := strings.CutPrefix(line, metaPrefix)
	switch {
	case r.pass:
		r.log.write([]byte(end))
		if _, after, ok := strings.Cut(line, "exited unsuccessfully (exit code: "); ok {
			r.exit, _, _ = strings.Cut(after, ",")
		}
	case isMeta:
		r.open = false
		r.take(rest)
	default: // no more than the beginning of a meta line
		r.release()
		r.open = line == ""
		if !r.open {
			r.log.write([]byte(line + end))
		}
	}
	r.head, r.pass = r.head[:0], false
}

// release lets the empty line go: what follows it is not a meta line. The
// program begins each of its lines with one, since what ran before may have
// left its last line open.
func (r *reportReader) release() {
	if r.open {
		r.log.write([]byte("\n"))
		r.open = false
	}
}

// take reads one line of the job's program. The scenario may print such lines
// too: what the program says before it (the commit) and after it (the rest)
// counts.
func (r *reportReader) take(line string) {
	m := map[string]string{}
	for _, field := range strings.Fields(line) {
		k, v, _ := strings.Cut(field, "=")
		m[k] = v
	}
	switch {
	case m["result"] != "":
		r.result = m
	case m["commit"] != "" && r.commit == "":
		r.commit = plainLine([]byte(m["commit"]))
	case m["step"] != "":
		r.step = m["step"]
		r.begun = r.begun || r.step == scenarioStep
		r.artifacts, r.result = nil, nil
	case m["out"] != "":
		size, err := strconv.ParseInt(m["bytes"], 10, 64)
		if err == nil && len(m["sha256"]) == 64 && FileName.MatchString(m["out"]) {
			r.artifacts = append(r.artifacts, flow.Artifact{File: m["out"], Bytes: size, SHA256: m["sha256"]})
		}
	}
}

// complete is called when the report of an ended job has been read.
func (r *reportReader) complete() {
	if len(r.head) > 0 {
		r.endLine("")
	}
	r.release()
	r.whole = true
}

// missing is called when it cannot be read.
func (r *reportReader) missing(err error) {
	r.err = err
	r.release()
	r.log.write(fmt.Appendf(nil, "cromt: the rest of the report cannot be had: %v\n", err))
}

// status is what is known of the job in that state.
func (r *reportReader) status(code Code) JobStatus {
	js := JobStatus{State: code, Commit: r.commit}
	if !code.Ended() {
		return js
	}
	exit := r.exit
	if r.result != nil {
		exit = r.result["exit"]
	}
	js.ExitCode, _ = strconv.Atoi(exit) // 0 when it is not said
	js.Artifacts = r.artifacts
	switch {
	case code == CodeCancelled:
		js.Cause = flow.CauseCancelled
	case code == CodeOK && r.whole && r.result["result"] != "ok":
		// Sparky calls a job whose command line broke off a success.
		js.Cause = flow.CauseInfrastructure
		js.Error = "the host reports success, but the last line of the job's own program is missing from its report"
	case code == CodeFailed:
		js.Cause, js.Error = r.cause(js.ExitCode)
	}
	return js
}

// timeoutExit is the exit code of the timeout command when the time is over.
const timeoutExit = 124

// cause says why a failed job failed.
func (r *reportReader) cause(exit int) (flow.Cause, string) {
	switch r.result["result"] {
	case "failed":
		return flow.CauseTask, ""
	case "timeout":
		return flow.CauseTimeout, ""
	case "cancelled":
		return flow.CauseCancelled, ""
	case "infrastructure":
		return flow.CauseInfrastructure, fmt.Sprintf("step %s failed on the host (exit code %d); its log says why", r.result["step"], exit)
	}
	switch {
	case r.err != nil:
		return flow.CauseTask, fmt.Sprintf("failed, and its report cannot be had: %v", r.err)
	case exit == timeoutExit:
		return flow.CauseTimeout, ""
	case r.begun:
		return flow.CauseTask, ""
	}
	return flow.CauseInfrastructure, fmt.Sprintf("the job's program did not reach the scenario (exit code %d); its log says why", exit)
}

// early says that the program ended by itself before the scenario began.
// Without its last word Sparky may have lost a part of the report.
func (r *reportReader) early() bool {
	return r.whole && !r.begun && r.result["result"] == "infrastructure"
}

// scenarioStep is the step of the job's program that runs tom.
const scenarioStep = "scenario"

var errNoArtifact = errors.New("the host has not kept it")
