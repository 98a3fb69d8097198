package flow

import "slices"

// lane is what of a run happens one at a time: the jobs of one queue-id, or
// one job.
type lane struct {
	busy    bool
	waiting []*jobState // those that are ready
}

// next takes the waiting job that is listed first in the file, but for one
// that the lane was given to by a process before this one.
func (l *lane) next() *jobState {
	if l.busy || len(l.waiting) == 0 {
		return nil
	}
	js := slices.MinFunc(l.waiting, func(a, b *jobState) int {
		if a.resumed != b.resumed {
			if a.resumed {
				return -1
			}
			return 1
		}
		return inFileOrder(a, b)
	})
	l.remove(js)
	l.busy = true
	return js
}

func (l *lane) remove(js *jobState) {
	if i := slices.Index(l.waiting, js); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

func inFileOrder(a, b *jobState) int {
	pa, pb := a.inv.Project.Pos, b.inv.Project.Pos
	if pa.Line != pb.Line {
		return pa.Line - pb.Line
	}
	if pa.Col != pb.Col {
		return pa.Col - pb.Col
	}
	return int(a.index - b.index)
}

// ready has a job attempted as soon as its lane is free.
func (r *runner) ready(js *jobState) {
	if js.lane == nil {
		js.lane = r.lanes[js.QueueID]
		if js.lane == nil {
			js.lane = &lane{}
		}
		if js.QueueID != "" { // without, its queue is its own
			r.lanes[js.QueueID] = js.lane
		}
	}
	js.lane.waiting = append(js.lane.waiting, js)
	l := js.lane
	r.effects = append(r.effects, func() { r.drive(l) }) // once all that become ready together are known
}

// drive starts the next job of a lane, if the lane is free.
func (r *runner) drive(l *lane) {
	if js := l.next(); js != nil {
		r.begun(js)
	}
}

// free ends a job's turn in its lane. Who becomes ready later drives it anew.
func (r *runner) free(js *jobState) {
	l := js.lane
	l.busy = false
	if js.done {
		js.lane = nil
	}
	if len(l.waiting) > 0 {
		r.effects = append(r.effects, func() { r.drive(l) })
	}
}
