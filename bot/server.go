package bot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
)

// Server is the App: it takes webhooks, works what they lead to, and shows it.
type Server struct {
	Store    *store.Store
	GitHub   *githubapp.App
	Settings *Settings
	// Secret is the webhook's.
	Secret []byte
	// Folder is for what can be had again.
	Folder  string
	Metrics *Metrics
	// Pages serve everything but webhooks and operation; nil: there are none.
	Pages  http.Handler
	Logger *slog.Logger
	// Retention is how long runs are kept; 0 is for ever.
	Retention time.Duration
}

// Serve works until ctx is done, and then lets go of the runs that it works:
// nothing is cancelled, the next process goes on with them.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	sources, err := NewSources(s.Folder)
	if err != nil {
		return err
	}
	runner := &Runner{Store: s.Store, GitHub: s.GitHub, Settings: s.Settings, Metrics: s.Metrics, Sources: sources, Logger: s.Logger}
	installed := &Installed{Store: s.Store, GitHub: s.GitHub, ConfigPath: s.Settings.ConfigPath, Logger: s.Logger}
	intake := &Intake{Store: s.Store, GitHub: s.GitHub, Settings: s.Settings, Installed: installed, Logger: s.Logger}
	handler, err := s.handler()
	if err != nil {
		return err
	}
	// Work is told to stop by its own context: the queue then waits for it to
	// let go, instead of cancelling it.
	working, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	queue, err := s.Store.Start(ctx, store.Workers{
		Deliver: func(ctx context.Context, id int64) error { return s.settle(ctx, id, intake.Deliver(ctx, id)) },
		Work: func(ctx context.Context, run string) (time.Duration, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(working, cancel)()
			return runner.Work(ctx, run)
		},
	})
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler: answering(handler, answerTime), ReadHeaderTimeout: webhookTime, IdleTimeout: idleTime, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return working },
		ErrorLog:    slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	background, stop := context.WithCancel(ctx)
	defer stop()
	chores := make(chan struct{})
	go func() {
		defer close(chores)
		s.chores(background, runner, sources, installed)
	}()
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	return errors.Join(err, s.stop(web, queue, letGo, stop, chores))
}

// stop ends everything in the order in which nothing is lost: no more
// webhooks, then no more work, then what is at hand.
func (s *Server) stop(web *http.Server, queue *store.Queue, letGo, stop func(), chores <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	letGo() // runs, and pages that wait for news
	err := web.Shutdown(ctx)
	stop()
	<-chores
	if qerr := queue.Stop(ctx); qerr != nil {
		err = errors.Join(err, qerr)
	}
	s.Settings.Pools.Close() // its hosts go to other replicas, when nothing here needs them any more
	return err
}

// handler routes the requests.
func (s *Server) handler() (http.Handler, error) {
	webhook, err := NewWebhook(s.Secret, s.accept, s.Metrics.Delivery, s.Logger)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/webhook", webhook)
	s.Settings.Pools.handle(mux)
	mux.Handle("GET /metrics", s.Metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	if s.Pages != nil {
		mux.Handle("/", s.Pages)
	}
	return mux, nil
}

// answering has what h answers be taken within d, or else the connection ends:
// who reads slowly, or not at all, keeps a handler for no longer. Handlers that
// take longer set other deadlines, and who takes the connection over has none.
func answering(h http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d)) // a recorder has none
		h.ServeHTTP(w, r)
	})
}

// ready says whether deliveries can be taken.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), acceptTime)
	defer cancel()
	if err := s.Store.Ping(ctx); err != nil {
		s.Logger.Error("not ready", "error", err)
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *Server) accept(ctx context.Context, d Delivery) (bool, error) {
	return s.Store.Accept(ctx, store.Delivery{
		GUID: d.GUID, Event: d.Event.Name, Action: d.Event.Action, Repo: d.Event.Repo.FullName, Installation: d.Event.Installation,
		Digest: digest(d), Payload: d.Payload, ReceivedAt: d.ReceivedAt,
	})
}

// digest is the same for deliveries that mean the same whatever their GUID is,
// which the signature does not cover, as it does not cover the event's name:
// who has got hold of a body may send it again under any.
//
// The body is all that is signed, so what is sent again is the same to the
// byte, and GitHub sends no two alike: each holds when the branch was last
// pushed to, the pull request or suite changed, or the comment was made. Less
// would be too little: a push forth, back and forth again has the same commits
// before and after. That different events ask for the same is found later, by
// the keys of runs, which know of configurations and of what was cancelled.
//
// Clicks on a check run alone may be alike, as nothing tells when they were
// made. A double click is one; somebody who had no permission when first
// clicking may click again a minute later. What a replay could do by then, to
// repeat, cancel or approve what that very click has, does nothing twice.
func digest(d Delivery) string {
	sum := sha256.New()
	sum.Write(d.Payload)
	if d.Event.CheckRun != nil {
		fmt.Fprintf(sum, "\x00%d", d.ReceivedAt.Unix()/int64(clickTime/time.Second))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// settle gives up a delivery of what is not there any more: it would be tried
// for long, and be asked for again. Not at once, as it may not be there yet.
func (s *Server) settle(ctx context.Context, id int64, problem error) error {
	if !errors.Is(problem, githubapp.ErrGone) && !errors.Is(problem, githubapp.ErrSuspended) {
		return problem
	}
	d, err := s.Store.Delivery(ctx, id)
	if err != nil || time.Since(d.ReceivedAt) < goneTime {
		return problem
	}
	s.Logger.Info("nothing done", "delivery", d.GUID, "event", d.Event, "repo", d.Repo, "why", problem.Error())
	return s.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Processed(ctx, id) })
}
