//go:build unix

package main

import (
	"testing"
	"time"
)

// lostPlan is 200 deliveries, some twice, some late, some under another GUID,
// while the App is killed 20 times and one call in ten, to GitHub and to the
// hosts, goes wrong.
func lostPlan() chaosPlan {
	return chaosPlan{
		replicas: 1, repos: 26, commits: 6, pulls: 1, chained: true, letters: 200,
		kills: 20, storm: 500 * time.Millisecond, pace: 40 * time.Millisecond, senders: 1, faults: 10, hostFaults: 10,
	}
}

// TestServeLosesNothing: every commit gets its one run, every job its one
// execution, every check run its one right conclusion. CROMT_TEST_SEED has it
// repeat what another time went wrong.
func TestServeLosesNothing(t *testing.T) {
	c := newChaos(t, lostPlan())
	c.deliver()
	c.check()
}

// TestServeReplicasLoseNothing is the same for two replicas that share a
// database, and are killed in turn.
func TestServeReplicasLoseNothing(t *testing.T) {
	p := lostPlan()
	p.replicas, p.postgres = 2, startPostgres(t).Postgres
	c := newChaos(t, p)
	c.deliver()
	c.check()
}
