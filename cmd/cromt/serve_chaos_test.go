//go:build unix

package main

import (
	"testing"
	"time"
)

// TestChaosDeliveries sends the App 10,000 deliveries: 30 % of them were sent
// before, half of these under another GUID, 5 % are forged. It is killed 100
// times, and has to ask for what it did not take.
func TestChaosDeliveries(t *testing.T) {
	p := chaosPlan{
		replicas: 1, repos: 4, commits: 6, pulls: 1, letters: 43, forged: 2, senders: 2, pace: 20 * time.Millisecond,
		sweeps: true, kills: 2, storm: 100 * time.Millisecond,
	}
	if share := chaosShare(t); share > 0 {
		of := func(n int) int { return int(share * float64(n)) }
		p = chaosPlan{
			replicas: 1, repos: of(100), commits: 60, pulls: 5, letters: of(10_000), forged: of(500), senders: 4, pace: 50 * time.Millisecond,
			sweeps: true, kills: of(100), storm: 2 * time.Second, faults: 200, hostFaults: 200, limit: 90 * time.Minute,
		}
	}
	c := newChaos(t, p)
	c.deliver()
	c.check()
}
