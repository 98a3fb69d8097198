package store

import (
	"context"
	"sync"
	"time"
)

// hub tells those who watch runs that something has changed.
type hub struct {
	mu   sync.Mutex
	subs map[string]map[chan struct{}]bool
}

func newHub() *hub { return &hub{subs: map[string]map[chan struct{}]bool{}} }

// tell wakes the watchers of the runs. One that has not looked since the last
// time finds out by looking once.
func (h *hub) tell(runs ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, run := range runs {
		for ch := range h.subs[run] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}

func (h *hub) watched() []any {
	h.mu.Lock()
	defer h.mu.Unlock()
	var runs []any
	for run := range h.subs {
		runs = append(runs, run)
	}
	return runs
}

// Subscribe returns a channel that receives after something of the run has
// changed, until ctx is done; several changes may be one. Changes that other
// replicas make are noticed within a second, by looking: LISTEN would take a
// connection, and NOTIFY one lock over all commits of the server.
func (s *Store) Subscribe(ctx context.Context, run string) <-chan struct{} {
	return s.hub.subscribe(ctx, run)
}

func (h *hub) subscribe(ctx context.Context, run string) <-chan struct{} {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[run] == nil {
		h.subs[run] = map[chan struct{}]bool{}
	}
	h.subs[run][ch] = true
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs[run], ch)
		if len(h.subs[run]) == 0 {
			delete(h.subs, run)
		}
	})
	return ch
}

// watch looks for changes that other replicas made, until ctx is done.
func (s *Store) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	seen := map[string]int64{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.changes(ctx, s.hub.watched())
		if err != nil {
			continue // the next look may succeed, and finds the same
		}
		for run, n := range now {
			if before, ok := seen[run]; !ok || before != n {
				s.hub.tell(run)
			}
		}
		seen = now
	}
}

// changes returns how often the runs have changed.
func (s *Store) changes(ctx context.Context, runs []any) (map[string]int64, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	n := make(map[string]int64, len(runs))
	_, err := list(ctx, s.reader(), func(row scanner) (struct{}, error) {
		var run string
		var changes int64
		err := row.Scan(&run, &changes)
		n[run] = changes
		return struct{}{}, err
	}, `SELECT run, changes FROM leases WHERE run IN (`+marks(len(runs))+`)`, runs...)
	return n, err
}
