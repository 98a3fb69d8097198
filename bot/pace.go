package bot

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// pace is how often each user has lately sent commands: what a comment makes
// the App do costs the installation requests of its hour, which one user, or a
// program in its name, must not use up.
type pace struct {
	mu    sync.Mutex
	users map[string][]time.Time // when each was heard, oldest first
}

// take counts a comment with commands. Of those that are too many, first is
// the first one of its time, which can be answered.
func (p *pace) take(user string, now time.Time) (ok, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users == nil {
		p.users = map[string][]time.Time{}
	}
	old := func(at time.Time) bool { return !at.After(now.Add(-paceTime)) }
	heard := slices.DeleteFunc(p.users[user], old)
	first = len(heard) == maxPace
	if ok = len(heard) < maxPace; ok || first {
		heard = append(heard, now)
	}
	p.users[user] = heard
	if len(p.users) > maxPaceUsers {
		maps.DeleteFunc(p.users, func(_ string, heard []time.Time) bool { return old(heard[len(heard)-1]) })
	}
	return ok, first
}
