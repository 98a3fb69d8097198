package tomtit

import (
	"context"
	"fmt"
	"strings"
)

// checked is a line of the output that a check looks at.
type checked struct {
	index  int // line from 0
	stream int // the block that it belongs to
}

// search is the state of the checks of one task: where they look.
type search struct {
	data     []string
	kind     checkKind // checkEnd: everywhere
	lines    []checked
	started  bool           // a check of the block has succeeded
	live     map[int]bool   // streams that every check so far was found in
	stopped  bool           // a check has failed: streams are not followed any more
	captures map[int]string // what the last check has found, by line
}

// checkResult is a check that was done, or a note.
type checkResult struct {
	text         string
	note         bool
	status, soft bool
}

// runChecks looks for every check in the lines of an output.
func runChecks(ctx context.Context, checks []check, data []string) ([]checkResult, error) {
	s := &search{data: data}
	s.everywhere()
	var results []checkResult
	for _, c := range checks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch c.kind {
		case checkNote:
			results = append(results, checkResult{text: c.text, note: true, status: true})
			continue
		case checkAssert:
			results = append(results, checkResult{text: "<" + c.text + ">", status: c.status})
			continue
		case checkEnd:
			s.everywhere()
			continue
		case checkBegin:
			s.everywhere()
			s.kind = checkBegin
			continue
		case checkBetween:
			if err := s.between(ctx, c); err != nil {
				return nil, err
			}
			continue
		case checkWithin:
			done, err := s.within(ctx, c)
			if err != nil {
				return nil, err
			}
			if done {
				continue
			}
			c.kind = checkRegexp
		}
		status, err := s.check(ctx, c)
		if err != nil {
			return nil, err
		}
		results = append(results, checkResult{text: s.message(c), status: status || c.soft, soft: c.soft && !status})
	}
	return results, nil
}

func (s *search) message(c check) string {
	mark := map[checkKind]string{checkBegin: "(s) ", checkBetween: "(r) ", checkWithin: "(w) "}[s.kind]
	return "stdout match " + mark + "<" + c.text + ">"
}

// everywhere makes the whole output the place to look at.
func (s *search) everywhere() {
	*s = search{data: s.data, kind: checkEnd, lines: make([]checked, len(s.data))}
	for i := range s.lines {
		s.lines[i].index = i
	}
}

// open begins a block of between or within with its lines.
func (s *search) open(kind checkKind, lines []checked) {
	*s = search{data: s.data, kind: kind, lines: lines, captures: s.captures, live: make(map[int]bool)}
	for _, ln := range lines {
		s.live[ln.stream] = true
	}
}

// within narrows the search to the lines that a regex matches, each of which
// is a stream of its own, or to one line; done is true when no check of the
// regex itself is to be shown.
func (s *search) within(ctx context.Context, c check) (done bool, err error) {
	var lines []checked
	if c.re == nil {
		if c.index < len(s.data) {
			lines = append(lines, checked{index: c.index})
		}
		s.open(checkWithin, lines)
		return true, nil
	}
	for i, line := range s.data {
		ok, err := s.match(ctx, c.re, line)
		if err != nil {
			return false, err
		}
		if ok {
			lines = append(lines, checked{index: i, stream: len(lines) + 1})
		}
	}
	s.open(checkWithin, lines)
	return false, nil
}

// between narrows the search to what lies between two lines. From one regex to
// another there may be several such blocks, each a stream; as in Sparrow6 the
// first line of a block is not part of it, the last one is, and a block
// without an end is none. From a line number on there is one block, of which
// the first line is part as well.
func (s *search) between(ctx context.Context, c check) error {
	var lines, block []checked
	open, closed, stream := false, false, 0
	for i, line := range s.data {
		start, end, err := s.boundaries(ctx, c, line)
		if err != nil {
			return err
		}
		if c.from.re == nil {
			if i < c.from.index || closed {
				continue
			}
			lines = append(lines, checked{index: i, stream: 1})
			if closed = end; c.to.re == nil && i >= c.to.index {
				closed = true
			}
			continue
		}
		if start {
			stream++
		}
		entered := !open && start
		if !open && !entered {
			continue
		}
		if block = append(block, checked{index: i, stream: stream}); start {
			block = nil
		}
		if end {
			lines, block = append(lines, block...), nil
		}
		open = entered || !end
	}
	if c.from.re == nil && c.to.re == nil && c.to.index < c.from.index {
		lines = nil
	}
	s.open(checkBetween, lines)
	return nil
}

// boundaries reports whether a line is where a block begins or ends.
func (s *search) boundaries(ctx context.Context, c check, line string) (start, end bool, err error) {
	if c.from.re != nil {
		if start, err = s.match(ctx, c.from.re, line); err != nil {
			return false, false, err
		}
	}
	if c.to.re != nil {
		end, err = s.match(ctx, c.to.re, line)
	}
	return start, end, err
}

// check looks for a check in the current context, and changes that.
func (s *search) check(ctx context.Context, c check) (bool, error) {
	zoom := s.kind == checkWithin && s.started && c.kind == checkRegexp
	var found []checked
	captures := make(map[int]string)
	for _, ln := range s.lines {
		text := s.data[ln.index]
		if part, ok := s.captures[ln.index]; ok && zoom {
			text = part
		}
		ok, capture, err := s.find(ctx, c, ln, text)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		found = append(found, ln)
		if s.kind == checkEnd {
			break // one is enough
		}
		captures[ln.index] = capture
	}
	status := len(found) > 0
	if c.negate {
		status = !s.inEvery(found)
		found, captures = nil, nil
	}
	s.captures = captures
	switch {
	case !status && s.kind == checkBegin:
		s.lines, s.live = nil, nil
	case !status:
		s.stopped = true
	case len(found) > 0:
		s.follow(found)
	}
	return status, nil
}

// find looks for a check in the text of a line. capture is what a check that
// follows in within is to look into.
func (s *search) find(ctx context.Context, c check, ln checked, text string) (ok bool, capture string, err error) {
	line := s.data[ln.index]
	switch c.kind {
	case checkAny:
		return true, line, nil
	case checkIndex:
		return c.index == ln.index, line, nil
	case checkPlain:
		return strings.Contains(line, c.text), line, nil
	}
	if ok, err = s.match(ctx, c.re, text); !ok || err != nil || s.kind != checkWithin {
		return ok, line, err
	}
	if part, ok := c.re.capture(text); ok {
		return true, part, nil
	}
	return true, line, nil
}

// inEvery reports whether a check was found so that its opposite fails: at
// all, or in blocks in each that is still followed.
func (s *search) inEvery(found []checked) bool {
	if s.kind == checkEnd || len(s.live) == 0 || s.stopped {
		return len(found) > 0
	}
	streams := make(map[int]bool)
	for _, ln := range found {
		streams[ln.stream] = true
	}
	return len(streams) == len(s.live)
}

// follow narrows the context to the streams in which a check was found, and in
// a sequence to the lines that follow those.
func (s *search) follow(found []checked) {
	if s.kind == checkEnd || s.stopped && s.kind != checkBegin {
		s.started = true
		return
	}
	if s.kind == checkBegin {
		s.sequence(found)
		return
	}
	s.started = true
	kept := make(map[int]bool)
	for _, ln := range found {
		if s.live[ln.stream] {
			kept[ln.stream] = true
		}
	}
	lines := s.lines[:0:0]
	for _, ln := range s.lines {
		if kept[ln.stream] {
			lines = append(lines, ln)
		}
	}
	s.lines, s.live = lines, kept
}

func (s *search) sequence(found []checked) {
	live := make(map[int]bool)
	var lines []checked
	for i, ln := range found {
		if !s.started {
			ln.stream = i + 1
		}
		live[ln.stream] = true
		if ln.index+1 < len(s.data) {
			lines = append(lines, checked{index: ln.index + 1, stream: ln.stream})
		}
	}
	s.lines, s.live, s.started = lines, live, true
}

// match reports whether a regex matches a text. The error is that of ctx, or
// that the line is too long.
func (s *search) match(ctx context.Context, re *pattern, text string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if len(text) > MaxMatch/re.size {
		return false, fmt.Errorf("check output: a line of %d bytes is too long for the regex %s", len(text), re.re)
	}
	return re.re.MatchString(text), nil
}

// maxMatches of a line are looked at for the first that has a capture.
const maxMatches = 1000

// capture returns $0 of the first match that has captures.
func (re *pattern) capture(text string) (string, bool) {
	if re.re.NumSubexp() == 0 {
		return "", false
	}
	for _, m := range re.re.FindAllStringSubmatchIndex(text, maxMatches) {
		for _, g := range re.first {
			if m[2*g] >= 0 {
				return text[m[2*g]:m[2*g+1]], true
			}
		}
		for g := 1; 2*g < len(m); g++ {
			if m[2*g] >= 0 {
				return "", true // $0 is not there, and another one is
			}
		}
	}
	return "", false
}

// The exit code of tom when a check fails.
const exitCheck = 2

// verify does the checks of a task, and prints them as tom does. soft: failed
// ones are counted only.
func (t *taskRun) verify(ctx context.Context, checks []check, output []string, soft bool) (int, error) {
	results, err := runChecks(ctx, checks, output)
	if err != nil {
		return 1, err
	}
	if len(results) > 0 {
		if err := t.out.header("task check"); err != nil {
			return 1, err
		}
	}
	failed := 0
	for _, r := range results {
		if err := t.out.result(r); err != nil {
			return 1, err
		}
		if !r.status {
			failed++
		}
	}
	if t.failed += failed; failed > 0 && !soft {
		return exitCheck, t.out.say("=================\nTASK CHECK FAIL")
	}
	return 0, nil
}
