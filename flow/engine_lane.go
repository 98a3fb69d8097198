package flow

import "slices"

// lane is what of a run happens one at a time: the jobs of one queue-id, or
// those of one queue on one host.
type lane struct {
	key     laneKey
	users   int // jobs that have been ready and have not ended
	busy    bool
	waiting []*jobState // those that are ready
}

// laneKey tells lanes apart, by one of the three.
type laneKey struct {
	id          string // queue-id
	job         string // key of a job on a pool
	host, queue string
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
		key := laneKey{host: js.Host, queue: js.Queue}
		switch {
		case js.QueueID != "":
			key = laneKey{id: js.QueueID}
		case js.Pool != "":
			key = laneKey{job: js.Key} // its queue is its own, wherever it is placed
		}
		js.lane = r.lanes[key]
		if js.lane == nil {
			js.lane = &lane{key: key}
			r.lanes[key] = js.lane
		}
		js.lane.users++
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
		if l.users--; l.users == 0 { // the next to need it makes it anew
			delete(r.lanes, l.key)
		}
		js.lane = nil
	}
	if len(l.waiting) > 0 {
		r.effects = append(r.effects, func() { r.drive(l) })
	}
}
