package console_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/cmd/cromt/console"
	"github.com/cromt/cromt/flow"
)

// terminal shows what was written to it: the few sequences that the live
// view uses, lines that wrap at its width, no scrolling.
type terminal struct {
	columns  int
	rows     [][]rune
	row, col int
	hidden   bool // the cursor
}

func (s *terminal) write(t *testing.T, text string) {
	t.Helper()
	r := []rune(text)
	for i := 0; i < len(r); i++ {
		for len(s.rows) <= s.row {
			s.rows = append(s.rows, nil)
		}
		switch r[i] {
		case '\n':
			s.row, s.col = s.row+1, 0
		case '\r':
			s.col = 0
		case 0x1b:
			end := i + 2
			for r[end] < 0x40 {
				end++
			}
			s.control(t, string(r[i+2:end]), r[end])
			i = end
		default:
			if s.col == s.columns {
				s.row, s.col = s.row+1, 0
				s.rows = append(s.rows[:s.row], append([][]rune{nil}, s.rows[s.row:]...)...)
			}
			line := s.rows[s.row]
			for len(line) <= s.col {
				line = append(line, ' ')
			}
			line[s.col] = r[i]
			s.rows[s.row] = line
			s.col++
		}
	}
}

func (s *terminal) control(t *testing.T, arg string, kind rune) {
	t.Helper()
	switch string(kind) {
	case "m":
	case "A":
		n, err := strconv.Atoi(arg)
		if err != nil || n > s.row {
			t.Fatalf("up %q from row %d", arg, s.row)
		}
		s.row -= n
	case "K":
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
	case "J":
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
		s.rows = s.rows[:s.row+1]
	case "h", "l":
		if arg == "?25" {
			s.hidden = kind == 'l'
		}
	default:
		t.Fatalf("unknown sequence ESC [ %s %c", arg, kind)
	}
}

func (s *terminal) String() string {
	var b strings.Builder
	for _, r := range s.rows {
		b.WriteString(strings.TrimRight(string(r), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		columns := 60
		w := newWorld(console.Options{Live: true, Verbose: true, Size: func() (int, int) { return columns, 10 }})
		term := &terminal{columns: columns}
		look := func(want string) {
			t.Helper()
			time.Sleep(150 * time.Millisecond)
			synctest.Wait()
			term.write(t, w.out.String())
			w.out.Reset()
			got := term.String()
			for _, spin := range "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" {
				got = strings.ReplaceAll(got, string(spin), "~")
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		}
		w.report(t, flow.Event{Kind: flow.JobStarted, Job: w.a, Attempt: 1}, flow.Event{Kind: flow.JobQueued, Job: w.c, Attempt: 1})
		w.print(t, w.a, 1, "a line of the job\n")
		look(`
build@h1   | a line of the job
~ build@h1    running     0.1s  on https://h1:4000
· test@host2  waiting           for build@h1
~ lint@h3     queued      0.1s  on https://h3:4000
0/3 done, 2 running, 0.1s`)
		retry := ended(flow.AttemptCompleted, w.c, 1, flow.Failure, "the host does not answer, and this is long")
		retry.RetryAt = time.Now().Add(10 * time.Second)
		w.report(t, ended(flow.JobCompleted, w.a, 1, flow.Failure, "exit code 1"), retry)
		w.con.Messagef("a message")
		look(`
build@h1   | a line of the job
cromt: a message
✗ build@h1    failure     0.1s  exit code 1
· test@host2  waiting
· lint@h3     retry       9.8s  attempt 1: the host does n…
1/3 done, 0 running, 1 failed, 0.3s`)
		w.con.Close()
		w.con.Messagef("after")
		look(`
build@h1   | a line of the job
cromt: a message`)
		if term.hidden {
			t.Error("the cursor is still hidden")
		}
		if w.err.String() != "cromt: after\n" {
			t.Errorf("messages %q", w.err.String())
		}
	})
}

// A terminal that becomes narrower wraps the lines of the last picture; the
// next one still takes their place.
func TestLiveNarrower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var columns atomic.Int32
		columns.Store(60)
		w := newWorld(console.Options{Live: true, Size: func() (int, int) { return int(columns.Load()), 10 }})
		w.report(t, flow.Event{Kind: flow.JobStarted, Job: w.a, Attempt: 1})
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		columns.Store(30)
		narrow := &terminal{columns: 30}
		narrow.write(t, w.out.String())
		w.out.Reset()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		narrow.write(t, w.out.String())
		if got := strings.Count(narrow.String(), "\n") + 1; got != 4 {
			t.Errorf("%d lines:\n%s", got, narrow)
		}
		w.con.Close()
	})
}

// Of more jobs than rows, those that run are shown.
func TestLiveManyJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(console.Options{})
		for i := range 100 {
			w.plan.Jobs = append(w.plan.Jobs, &flow.Job{Key: fmt.Sprintf("j%d@h", i), Host: "https://h:4000", Work: &flow.Work{}})
		}
		con := console.New(w.plan, console.Options{Out: &w.out, Err: &w.err, Live: true, Size: func() (int, int) { return 80, 12 }})
		w.con = con
		w.report(t, flow.Event{Kind: flow.JobStarted, Job: w.plan.Jobs[70], Attempt: 1})
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		term := &terminal{columns: 80}
		term.write(t, w.out.String())
		lines := strings.Split(term.String(), "\n")
		if len(lines) != 10 || !strings.Contains(term.String(), " j67@h") || !strings.Contains(lines[8], "… and 95 more") {
			t.Errorf("%d lines:\n%s", len(lines), term)
		}
		con.Close()
	})
}
