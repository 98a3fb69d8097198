package agent

import "errors"

var errDraining = errors.New("this host takes no new jobs: it is about to end")

// Drain takes no new jobs from now on. Those that wait end at once, as not
// started, so that they are placed elsewhere; those that run go on.
func (a *Agent) Drain() {
	a.mu.Lock()
	a.draining = true
	var waiting []*job
	for _, q := range a.queues {
		waiting = append(waiting, q.waiting...)
	}
	a.mu.Unlock()
	for _, j := range waiting {
		a.stop(j, errDraining)
	}
}

// Slots returns how many jobs run at once.
func (a *Agent) Slots() int { return a.cfg.MaxJobs }

// Load returns how many jobs run, and how many wait.
func (a *Agent) Load() (running, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running, a.waiting
}
