package flow_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// quick is an Executor whose jobs end at once. It is a Reporter as well, which
// looks at the end of a run at what is in use.
type quick struct{ inUse uint64 }

func (*quick) Exec(_ context.Context, _ flow.Attempt, log io.Writer) (flow.Result, error) {
	now := time.Now()
	_, err := io.WriteString(log, "hello\n")
	return flow.Result{Conclusion: flow.Success, StartedAt: now, CompletedAt: now}, err
}

func (q *quick) Report(_ context.Context, events []flow.Event) error {
	if events[len(events)-1].Kind == flow.RunCompleted {
		q.inUse = inUse()
	}
	return nil
}

// inUse is the size of all that the garbage collector has to keep, in bytes.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestRunMemory: what a run keeps of a job at its end, its plan and its report
// included, is small: there may be 10,000.
func TestRunMemory(t *testing.T) {
	const layers, hosts = 20, 100
	const most = 1280 // bytes a job; it took 1,100 when this was written
	var y strings.Builder
	y.WriteString("projects:\n")
	for l := range layers {
		fmt.Fprintf(&y, "  layer%d:\n    path: /scenarios\n    action: step\n", l)
		if l > 0 {
			fmt.Fprintf(&y, "    before: [{name: layer%d}]\n", l-1)
		}
		y.WriteString("    hosts:\n")
		for h := range hosts {
			fmt.Fprintf(&y, "      - {url: \"http://host:4000\", vars: {ID: %d}}\n", l*hosts+h)
		}
	}
	before := inUse()
	file, err := flow.Parse("jobs.yaml", []byte(y.String()))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := flow.NewPlan(file, flow.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plan.Trim()
	q := &quick{}
	r := run(t, &flow.Engine{Executor: q, Reporters: []flow.Reporter{q}}, plan)
	if r.Conclusion != flow.Success || len(r.Jobs) != layers*hosts || r.Jobs[7].Attempts[0].Log != "hello\n" {
		t.Fatalf("%s, %d jobs, %+v", r.Conclusion, len(r.Jobs), r.Jobs[7])
	}
	if each := (int64(q.inUse) - int64(before)) / (layers * hosts); each > most {
		t.Errorf("a job takes %d bytes, want at most %d", each, most)
	} else {
		t.Logf("a job takes %d bytes", each)
	}
}
