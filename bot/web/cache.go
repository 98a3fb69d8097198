package web

import (
	"sync"
	"time"
)

// cache keeps the last few values of something that can be had again. It may
// be used by several goroutines.
type cache[K comparable, V any] struct {
	most int

	mu     sync.Mutex
	values map[K]cached[V]
}

type cached[V any] struct {
	value V
	at    time.Time
}

func newCache[K comparable, V any](most int) *cache[K, V] {
	return &cache[K, V]{most: most, values: map[K]cached[V]{}}
}

// get returns a value that was put after a time.
func (c *cache[K, V]) get(key K, after time.Time) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	return v.value, ok && !v.at.Before(after)
}

// put keeps a value that was true at a time, instead of the oldest one when
// there are too many.
func (c *cache[K, V]) put(key K, value V, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.values[key]; !ok && len(c.values) >= c.most {
		var oldest K
		first := true
		for k, v := range c.values {
			if first || v.at.Before(c.values[oldest].at) {
				oldest, first = k, false
			}
		}
		delete(c.values, oldest)
	}
	c.values[key] = cached[V]{value, at}
}
