package bot

import (
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
	heard := since(p.users[user], now.Add(-paceTime))
	if len(heard) > maxPace {
		p.users[user] = heard
		return false, false
	}
	heard = append(heard, now)
	p.users[user] = heard
	if len(p.users) > maxPaceUsers {
		for other, times := range p.users {
			if len(since(times, now.Add(-paceTime))) == 0 {
				delete(p.users, other)
			}
		}
	}
	return len(heard) <= maxPace, len(heard) > maxPace
}

// since returns the times after t, which are at the end.
func since(times []time.Time, t time.Time) []time.Time {
	i := slices.IndexFunc(times, t.Before)
	if i < 0 {
		return nil
	}
	return slices.Clip(times[i:])
}
