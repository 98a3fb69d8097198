package bot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
)

// Sweeper looks for what has not arrived: deliveries that the App did not
// take, and commits of pull requests that nobody has told it of.
type Sweeper struct {
	Store  *store.Store
	GitHub *githubapp.App
	Logger *slog.Logger
	// Started is when this process could first be delivered to: what failed
	// before failed for want of somebody to deliver to. Zero: not known.
	Started time.Time
}

// errMore says that there is more to do than one turn may.
var errMore = errors.New("there is more to do")

// Deliveries has GitHub deliver again what failed, unless some replica does, or
// did so less than every ago.
func (s *Sweeper) Deliveries(ctx context.Context, every time.Duration) error {
	return duty(ctx, s.Store, "deliveries", every, s.deliveries)
}

// Pulls makes the runs that pull requests lack, like Deliveries.
func (s *Sweeper) Pulls(ctx context.Context, every time.Duration) error {
	return duty(ctx, s.Store, "pulls", every, func(ctx context.Context, d *store.Duty) (string, error) { return "", s.pulls(ctx, d, every) })
}

// duty does a duty if it is due. One that fails or has more to do is due
// again at once.
func duty(ctx context.Context, s *store.Store, name string, every time.Duration, do func(context.Context, *store.Duty) (note string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	d, err := s.TakeDuty(ctx, name, every)
	if err != nil || d == nil {
		return err
	}
	note, err := do(ctx, d)
	switch {
	case err == nil:
		err = d.Done(ctx, note)
	case errors.Is(err, errMore):
		err = d.Pause(ctx, note)
	}
	if err == nil {
		return nil
	}
	if rerr := d.Release(context.WithoutCancel(ctx)); rerr != nil || errors.Is(err, store.ErrFenced) {
		return rerr
	}
	return fmt.Errorf("%s: %w", name, err)
}

// swept is how far the sweeps of deliveries have come, the note of that duty.
type swept struct {
	all  time.Time // what is before was looked at
	kept time.Time // but for some since then, for which it was too early
	at   time.Time // when those were last looked at
}

func readSwept(note string) (w swept) {
	for i, text := range strings.Fields(note) {
		if at, err := time.Parse(time.RFC3339, text); err == nil && i < 3 {
			*[]*time.Time{&w.all, &w.kept, &w.at}[i] = at
		}
	}
	return w
}

func (w swept) String() string {
	return w.all.UTC().Format(time.RFC3339) + " " + w.kept.UTC().Format(time.RFC3339) + " " + w.at.UTC().Format(time.RFC3339)
}

// keep notes that a delivery of a time has to be looked at again.
func (w *swept) keep(at time.Time) {
	if w.kept.IsZero() || at.Before(w.kept) {
		w.kept = at
	}
}

// deliveries asks GitHub to deliver again what failed since the last sweep,
// and has what was given up worked again. An attempt that fails again is an
// attempt of its own, so none is looked at twice. How far it has come is noted
// with each: whoever goes on after a crash lists no more than what is left.
func (s *Sweeper) deliveries(ctx context.Context, d *store.Duty) (note string, err error) {
	now := time.Now()
	left, err := s.Store.AskedSince(ctx, now.Add(-choreInterval))
	if left = sweepAsks - left; err != nil || left <= 0 {
		return d.Note, cmp.Or(err, errMore)
	}
	w := readSwept(d.Note)
	since := w.all
	if !w.kept.IsZero() && now.Sub(w.at) >= sweepInterval { // it is listed with all that came after it
		since, w.kept = w.kept, time.Time{}
	}
	if w.kept.IsZero() {
		w.at = now
	}
	if oldest := now.Add(-deliveryAge); since.Before(oldest) {
		since = oldest
	}
	failed, latest, err := s.failed(ctx, since)
	if err != nil {
		return "", err
	}
	for _, a := range slices.Backward(failed) { // the oldest first: later ones build on it
		wanted, later, err := s.wanted(ctx, a, now)
		if err != nil {
			return "", err
		}
		if later {
			w.keep(a.At)
		}
		if !wanted {
			continue
		}
		w.all = a.At
		if left--; left < 0 {
			return w.String(), errMore
		}
		if err := s.ask(ctx, d, a, now, w.String()); err != nil {
			return "", err
		}
	}
	if err := s.givenUp(ctx, d, now); err != nil {
		return "", err
	}
	w.all = latest
	return w.String(), nil
}

// ask asks for a delivery once more. One that GitHub has nothing to deliver of
// counts as asked for: it must not be in the way of all that came after it.
func (s *Sweeper) ask(ctx context.Context, d *store.Duty, a githubapp.HookDelivery, now time.Time, note string) error {
	log := s.Logger.With("delivery", a.GUID, "event", a.Event, "status", a.Status)
	switch err := s.GitHub.Redeliver(ctx, a.ID); {
	case err == nil:
		log.Info("delivery asked for again")
	case slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}, checks.StatusOf(err)):
		log.Warn("delivery not to be had again", "error", err)
	default:
		return err
	}
	return d.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Ask(ctx, a.GUID, a.ID, now); err != nil {
			return err
		}
		return d.Keep(ctx, tx, note)
	})
}

// failed returns the attempts since a time that failed and that no later one
// made good, the latest of each delivery, the latest first.
func (s *Sweeper) failed(ctx context.Context, since time.Time) (list []githubapp.HookDelivery, latest time.Time, err error) {
	seen := map[string]bool{}
	latest = since
	for a, err := range s.GitHub.Deliveries(ctx) {
		if err != nil {
			return nil, latest, err
		}
		// GitHub counts in seconds, and lists what is under way late.
		if a.At.Before(since.Add(-sweepOverlap)) {
			break
		}
		if a.At.After(latest) {
			latest = a.At
		}
		if !seen[a.GUID] && !a.OK() {
			list = append(list, a)
		}
		seen[a.GUID] = true
	}
	return list, latest, nil
}

// wanted reports whether a failed delivery is worth asking for: it is of an
// event that the App answers, the store does not have it, and it was not
// asked for in vain all the time. later: it is, but was asked for just now.
func (s *Sweeper) wanted(ctx context.Context, a githubapp.HookDelivery, now time.Time) (wanted, later bool, err error) {
	if name := known(a.Event); name == "other" || name == "ping" {
		return false, false, nil
	}
	_, err = s.Store.DeliveryByGUID(ctx, a.GUID)
	if err == nil {
		return false, false, nil // with what it has, it does not need GitHub
	}
	if !errors.Is(err, store.ErrNotFound) {
		return false, false, err
	}
	asked, err := s.Store.Asked(ctx, a.GUID)
	if err == nil && 0 < asked.Times && asked.Times <= restartAsks && a.ID != asked.Attempt && a.At.Before(s.Started.Add(startTime)) {
		return true, false, nil // it came again, and found nobody
	}
	wanted, later = mayAsk(asked, now)
	return wanted, later, err
}

// mayAsk reports whether a delivery may be asked for once more, now or later.
func mayAsk(a store.Asked, now time.Time) (ask, later bool) {
	if a.Times >= maxAsks {
		return false, false
	}
	ask = a.Times == 0 || now.Sub(a.Last) >= askGap<<(a.Times-1)
	return ask, !ask
}

// givenUp has deliveries worked again whose work was given up: what it failed
// by, for about ten minutes, may have passed.
func (s *Sweeper) givenUp(ctx context.Context, d *store.Duty, now time.Time) error {
	guids, err := s.Store.GivenUp(ctx, now.Add(-deliveryAge), sweepAsks)
	if err != nil {
		return err
	}
	for _, guid := range guids {
		asked, err := s.Store.Asked(ctx, guid)
		if err != nil {
			return err
		}
		if may, _ := mayAsk(asked, now); !may {
			continue
		}
		if err := d.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Ask(ctx, guid, 0, now) }); err != nil {
			return err
		}
		have, err := s.Store.DeliveryByGUID(ctx, guid)
		if err == nil {
			_, err = s.Store.Accept(ctx, *have)
		}
		if err != nil {
			return err
		}
		s.Logger.Info("delivery worked again", "delivery", guid, "event", have.Event, "failed_by", have.Error)
	}
	return nil
}

// pulls compares the heads of open pull requests with the runs that there
// are, in repositories that have a configuration, and takes each that has
// none as if GitHub had delivered its push.
func (s *Sweeper) pulls(ctx context.Context, d *store.Duty, every time.Duration) error {
	now := time.Now()
	repos, err := s.Store.ReposToCompare(ctx, now.Add(-every/2), sweepRepos)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range repos {
		if err := s.compare(ctx, r, now); err != nil {
			errs = append(errs, err)
		}
		// One that cannot be read does not keep the others from their turn.
		if err := d.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Compared(ctx, r.Name, now) }); err != nil {
			return err
		}
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		s.Logger.Warn("pull requests not compared", "error", err)
	}
	return ctx.Err()
}

// compare takes what is missing of one repository. What did not change since
// the App is there, or since GitHub forgets deliveries, is left alone.
func (s *Sweeper) compare(ctx context.Context, r *store.Repo, now time.Time) error {
	since := now.Add(-deliveryAge)
	if r.Since.After(since) {
		since = r.Since
	}
	n := 0
	for pull, err := range s.GitHub.Repo(r.Installation, r.Name).PullsSince(ctx, r.Installation, since) {
		if err != nil {
			return err
		}
		if n++; n > sweepPulls {
			break
		}
		has, err := s.Store.HasRun(ctx, r.Name, pull.HeadSHA, ClassCode)
		if err != nil {
			return err
		}
		if has {
			continue
		}
		fresh, err := s.Store.Accept(ctx, store.Delivery{
			GUID: missing(r.Name, pull), Event: "pull_request", Action: "synchronize", Repo: r.Name, Installation: r.Installation,
			Payload: pull.Payload, ReceivedAt: now,
		})
		if err != nil {
			return err
		}
		if fresh {
			s.Logger.Info("pull request without a run", "repo", r.Name, "number", pull.Number, "sha", pull.HeadSHA)
		}
	}
	return nil
}

// missing is the name of the delivery that should have been: the same for one
// head, so that one that leads to nothing does so once.
func missing(repo string, pull githubapp.OpenPull) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s#%d@%s", repo, pull.Number, pull.HeadSHA))
	return fmt.Sprintf("missing-%x", sum[:16])
}
