package web

import (
	"cmp"
	"fmt"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// timeline is which job ran where and when.
type timeline struct {
	Ticks []tick
	Hosts []hostLanes
}

// tick is a time on the axis.
type tick struct {
	X    float64 // percent
	Text string  // since the beginning
}

// hostLanes are the attempts on a host: below one another where they were at
// the same time.
type hostLanes struct {
	Name   string
	URL    string
	Jobs   int
	Busy   int // of the time, in percent
	Queued int // jobs that wait there now
	Bars   []barView
	Height int // pixels
	More   int // bars that there is no room for
}

// Summary is the picture in words.
func (h hostLanes) Summary() string {
	s := fmt.Sprintf("%s: %s, busy %d%% of the time", h.Name, count(h.Jobs, "attempt"), h.Busy)
	if h.Queued > 0 {
		s += fmt.Sprintf(", %d queued", h.Queued)
	}
	return s
}

// barView is one attempt.
type barView struct {
	X, Len float64 // percent
	Y      int     // pixels
	State  string
	Name   string
	Text   string // all about it
	URL    string
}

const laneHeight = 24 // pixels

// minBar is the shortest bar that can still be hit, in percent.
const minBar = 0.4

func (p *pages) timeline(run *store.Run, jobs []jobRow, bars []store.Bar, now time.Time) *timeline {
	if run.StartedAt.IsZero() || len(bars) == 0 {
		return nil
	}
	end := run.CompletedAt
	if end.IsZero() {
		end = now
	}
	for _, b := range bars { // clocks of hosts differ
		if b.CompletedAt.After(end) {
			end = b.CompletedAt
		}
	}
	total := max(end.Sub(run.StartedAt), time.Millisecond)
	byKey := make(map[string]*jobRow, len(jobs))
	t := &timeline{Ticks: ticks(total)}
	place := map[string]int{}
	for i := range jobs {
		j := &jobs[i]
		byKey[j.Key] = j
		if _, ok := place[j.Host]; !ok {
			place[j.Host] = len(t.Hosts)
			t.Hosts = append(t.Hosts, hostLanes{Name: j.HostName, URL: j.Host})
		}
		if j.State == string(flow.StatusQueued) {
			t.Hosts[place[j.Host]].Queued++
		}
	}
	of := make([][]store.Bar, len(t.Hosts))
	for _, b := range bars {
		if j := byKey[b.Job]; j != nil && !b.StartedAt.IsZero() {
			of[place[j.Host]] = append(of[place[j.Host]], b)
		}
	}
	for i := range t.Hosts {
		t.Hosts[i].fill(of[i], byKey, run.StartedAt, end, total)
	}
	return t
}

// fill places the attempts of a host, which come in the order of their start.
func (h *hostLanes) fill(bars []store.Bar, jobs map[string]*jobRow, begin, now time.Time, total time.Duration) {
	percent := func(d time.Duration) float64 { return 100 * float64(d) / float64(total) }
	var lanes []time.Time // when each is free again
	var busy time.Duration
	var covered time.Time
	h.Jobs = len(bars)
	for _, b := range bars {
		end := b.CompletedAt
		if end.IsZero() {
			end = now
		}
		if from := latest(b.StartedAt, covered); end.After(from) {
			busy += end.Sub(from)
			covered = end
		}
		lane := 0
		for lane < len(lanes) && lanes[lane].After(b.StartedAt) {
			lane++
		}
		if lane == maxLanes {
			h.More++
			continue
		}
		if lane == len(lanes) {
			lanes = append(lanes, time.Time{})
		}
		lanes[lane] = end
		j := jobs[b.Job]
		v := barView{
			X: min(max(percent(b.StartedAt.Sub(begin)), 0), 100-minBar), Len: max(percent(end.Sub(b.StartedAt)), minBar), Y: lane*laneHeight + 1,
			State: stateOfJob(b.Status, b.Conclusion, b.Number), Name: cmp.Or(flow.PlainText(j.Project), j.Key), URL: jobURL(j.Run, j.Key),
		}
		v.Len = min(v.Len, 100-v.X)
		v.Text = fmt.Sprintf("%s: %s, %s after %s", j.Key, stateWord(v.State), took(end.Sub(b.StartedAt)), took(b.StartedAt.Sub(begin)))
		if b.Number > 1 || j.Attempts > 1 {
			v.Text += fmt.Sprintf(", attempt %d", b.Number)
			v.URL += fmt.Sprint("?attempt=", b.Number)
		}
		h.Bars = append(h.Bars, v)
	}
	h.Height = max(1, len(lanes)) * laneHeight
	h.Busy = int(min(percent(busy), 100) + 0.5)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ticks are times on an axis of that length, three to six of them.
func ticks(total time.Duration) []tick {
	step := time.Millisecond
	for _, next := range []time.Duration{
		10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
	} {
		if total/step <= 5 {
			break
		}
		step = next
	}
	var all []tick
	for at := time.Duration(0); at <= total*97/100 && len(all) < 12; at += step {
		text := "0"
		switch {
		case at == 0:
		case step < time.Second:
			text = fmt.Sprintf("%gs", at.Seconds())
		case step < time.Minute && at < time.Minute:
			text = fmt.Sprintf("%ds", int(at.Seconds()))
		case step < time.Minute:
			text = fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60)
		case step < time.Hour:
			text = fmt.Sprintf("%dm", int(at.Minutes()))
		default:
			text = fmt.Sprintf("%dh", int(at.Hours()))
		}
		all = append(all, tick{100 * float64(at) / float64(total), text})
	}
	return all
}
