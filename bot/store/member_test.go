package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
)

func join(name, credential, token string) store.Join {
	return store.Join{Pool: "p", Name: name, Credential: strings.Repeat(credential, 64), Token: token, Expires: time.Now().Add(time.Hour), Max: 3}
}

// A one-time token lets one credential in, however often that one asks.
func TestJoinMember(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		ctx := t.Context()
		must(t, s.JoinMember(ctx, join("a", "1", "t1")))
		must(t, s.JoinMember(ctx, join("a", "1", "t1"))) // the answer got lost
		if err := s.JoinMember(ctx, join("b", "2", "t1")); !errors.Is(err, store.ErrSpent) {
			t.Errorf("a spent token: %v", err)
		}
		if _, err := s.Member(ctx, "p", "b"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("b: %v", err)
		}
		must(t, s.JoinMember(ctx, join("b", "2", ""))) // one that is used again
		must(t, s.JoinMember(ctx, join("c", "3", "")))
		if err := s.JoinMember(ctx, join("d", "4", "")); !errors.Is(err, store.ErrPoolFull) {
			t.Errorf("a full pool: %v", err)
		}
		// A name is free as long as its host is not connected.
		must(t, s.JoinMember(ctx, join("b", "5", "")))
		must(t, s.SeeMembers(ctx, []store.Member{{Pool: "p", Name: "b", Credential: strings.Repeat("5", 64), Labels: []string{"linux"}, Slots: 4, Running: 2, Draining: true}}))
		if err := s.JoinMember(ctx, join("b", "6", "")); !errors.Is(err, store.ErrNameTaken) {
			t.Errorf("a connected host's name: %v", err)
		}
		m := value[*store.Member](t)(s.Member(ctx, "p", "b"))
		if got := fmt.Sprint(m.Labels, m.Slots, m.Running, m.Draining, len(m.Replicas)); got != "[linux] 4 2 true 1" {
			t.Errorf("member: %s", got)
		}
	})
}

// One that can join again is forgotten when it leaves, another one is kept.
func TestLeaveMember(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		ctx := t.Context()
		must(t, s.JoinMember(ctx, join("a", "1", "t1")))
		must(t, s.JoinMember(ctx, join("b", "2", "")))
		must(t, s.LeaveMember(ctx, "p", "a", false))
		must(t, s.LeaveMember(ctx, "p", "b", false))
		must(t, s.PruneMembers(ctx))
		all := value[[]store.Member](t)(s.Members(ctx))
		if len(all) != 1 || all[0].Name != "a" || !all[0].Lasting {
			t.Errorf("%+v", all)
		}
		must(t, s.LeaveMember(ctx, "p", "a", true))
		if all := value[[]store.Member](t)(s.Members(ctx)); len(all) != 0 {
			t.Errorf("%+v", all)
		}
	})
}

// Replicas know of each other's members, until one is gone.
func TestMembersOfReplicas(t *testing.T) {
	t.Parallel()
	at := address(t, "postgres")
	a, b := open(t, at), mustOpen(t, at)
	ctx := t.Context()
	must(t, a.JoinMember(ctx, join("x", "1", "")))
	seen := []store.Member{{Pool: "p", Name: "x", Credential: strings.Repeat("1", 64), Slots: 1}}
	must(t, a.SeeMembers(ctx, seen))
	must(t, b.SeeMembers(ctx, seen))
	if m := value[*store.Member](t)(a.Member(ctx, "p", "x")); len(m.Replicas) != 2 {
		t.Errorf("replicas %v", m.Replicas)
	}
	if ids := value[[]string](t)(b.Replicas(ctx)); len(ids) != 2 {
		t.Errorf("replicas %v", ids)
	}
	must(t, b.Close())
	if m := value[*store.Member](t)(a.Member(ctx, "p", "x")); len(m.Replicas) != 1 || m.Replicas[0] != a.Replica() {
		t.Errorf("replicas %v", m.Replicas)
	}
}
