package sparky

import (
	"context"
	"sync"
)

// shared does something once for all that ask for it. A success is kept; a
// failure is told to those who waited for it, and the next one tries again.
// It is given up when nobody waits any more.
type shared[T any] struct {
	mu   sync.Mutex
	call *sharedCall[T]
}

type sharedCall[T any] struct {
	done    chan struct{}
	cancel  context.CancelFunc // nil: it is done
	waiting int
	value   T
	err     error
}

func (s *shared[T]) do(ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	c := s.call
	if c == nil {
		callCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		c = &sharedCall[T]{done: make(chan struct{}), cancel: cancel}
		s.call = c
		go func() {
			c.value, c.err = f(callCtx)
			cancel()
			s.mu.Lock()
			c.cancel = nil // it holds the context of whoever asked first
			if c.err != nil && s.call == c {
				s.call = nil
			}
			s.mu.Unlock()
			close(c.done)
		}()
	}
	c.waiting++
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		s.mu.Lock()
		if c.waiting--; c.waiting == 0 && c.cancel != nil {
			c.cancel()
			if s.call == c {
				s.call = nil
			}
		}
		s.mu.Unlock()
		var zero T
		return zero, ctx.Err()
	}
}
