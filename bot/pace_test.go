package bot

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p pace
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range maxPace {
		if ok, _ := p.take("1", now.Add(time.Duration(i)*time.Second)); !ok {
			t.Fatalf("number %d is too many", i+1)
		}
	}
	now = now.Add(maxPace * time.Second)
	for i := range 1000 {
		if ok, first := p.take("1", now.Add(time.Duration(i)*time.Millisecond)); ok || first != (i == 0) {
			t.Fatalf("number %d: %v, first %v", maxPace+i+1, ok, first)
		}
	}
	if ok, _ := p.take("2", now); !ok {
		t.Error("another user is held back, too")
	}
	// The first two are out of the window; the one that was refused is not.
	for i, want := range []bool{true, false} {
		if ok, _ := p.take("1", now.Add(paceTime-maxPace*time.Second+1500*time.Millisecond)); ok != want {
			t.Errorf("number %d of a later time: %v", i+1, ok)
		}
	}
	for i := range 2 * maxPaceUsers {
		p.take(time.Duration(i).String(), now.Add(time.Duration(i)*time.Second))
	}
	if n := len(p.users); n > maxPaceUsers+1 {
		t.Errorf("%d users are remembered", n)
	}
}
