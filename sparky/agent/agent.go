package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/place"
	"github.com/cromt/cromt/sparky/tomtit"
)

// Config says how an Agent works.
type Config struct {
	Root       string // state, logs, files and checkouts; made with mode 0700
	Token      string // required of clients; "": none, for loopback addresses only, or where people sign in
	Users      string // file of who may sign in to the pages, as htpasswd -B writes it; "": none
	MaxJobs    int    // projects that run at once; 0: four for each CPU, at least 8: most wait, and a Sparky has no limit
	KeepBuilds int    // builds of a project whose log and files are kept; 0: DefaultKeepBuilds
	Name       string // shown to people; "": the machine's name
	Version    string // of the program, told to clients
	Logger     *slog.Logger
	// Tom is the path of the host's tom. "" is the built-in runner; "auto"
	// looks for tom in PATH and falls back to the built-in runner.
	Tom string
	// Sparrowdo is the path of the host's sparrowdo, which runs sparrowfiles in
	// Raku. "" refuses them; "auto" looks in PATH and in ~/.raku/bin.
	Sparrowdo string
	// Program is the file of this program, which runs scenarios in containers
	// and on other machines when it is called with [place.Command]; "": what
	// runs now.
	Program string
	// MaxDisk is how many bytes the folder of one job, its checkout and TMPDIR,
	// may take; 0: DefaultMaxDisk.
	MaxDisk int64
	// Listen is the address, host:port, by which sparrowfiles reach this agent,
	// and TLS whether it wants TLS there; "": 127.0.0.1:4000.
	Listen string
	TLS    bool
}

// Agent is a host. It is an http.Handler; use [Serve] to listen.
type Agent struct {
	schedule
	cfg       Config
	access    *access
	log       *slog.Logger
	store     *store
	files     *fileStore
	disk      *diskGuard
	lock      *os.File
	env       baseEnv
	tom       string
	bash      string // of PATH, so that not every job looks for it; "": there is none yet
	sparrowdo string
	docker    *place.Engine
	looks     time.Duration // between looks at a job's folder
	work      folders
	tasks     sync.WaitGroup // running jobs and background work
	dirty     chan string    // projects to prune
	quit      chan struct{}
	streams   chan struct{} // live logs that are read
	trouble   sync.Map      // project to what is wrong with its SCM, a string
}

// schedule is which job waits, runs or has just ended.
type schedule struct {
	mu      sync.Mutex
	jobs    map[string]*job
	queues  map[string]*queue
	ready   []*queue // their first job waits for a slot
	running int      // cromt jobs
	waits   int      // sparrowfiles that run
	waiting int
	seq     int64
	recent  []string // ids of ended jobs still in jobs, oldest first
	closing bool
	// draining: no new jobs are taken.
	draining bool
}

// The folders below Root.
const (
	dirLogs  = "logs"
	dirFiles = "files"
	dirWork  = "work"
	// dirProjects holds a folder for every project that people have made, as a
	// Sparky's: with its sparrowfile and sparky.yaml.
	dirProjects = "projects"
	// dirSCM notes the last commit of the branches that projects watch.
	dirSCM = "scm"
)

// Open opens the state below cfg.Root and goes on with what is queued there.
// Jobs that were running when the last agent ended are recorded as lost and
// what is left of their processes is killed. It fails when another agent uses
// the folder.
func Open(cfg Config) (*Agent, error) {
	if cfg.Root == "" {
		return nil, errors.New("agent: no root folder given")
	}
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return nil, err
	}
	cfg.Root = root
	cfg = withDefaults(cfg)
	for _, dir := range []string{"", dirLogs, dirFiles, dirWork, dirProjects, dirSCM} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return nil, fmt.Errorf("agent root: %w", err)
		}
	}
	var users *userFile
	if cfg.Users != "" {
		if users, err = openUsers(cfg.Users); err != nil {
			return nil, err
		}
	}
	lock, err := lockFolder(root)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg: cfg, log: cfg.Logger, lock: lock, access: newAccess(cfg.Token, users),
		env: newBaseEnv(os.Getenv, root), disk: &diskGuard{dir: root, free: freeBytes},
		work:     folders{dir: filepath.Join(root, dirWork)},
		schedule: schedule{jobs: map[string]*job{}, queues: map[string]*queue{}},
		looks:    diskPause, dirty: make(chan string, 64), quit: make(chan struct{}), streams: make(chan struct{}, maxStreams),
	}
	if a.tom = cfg.Tom; a.tom == "auto" {
		a.tom = tomtit.FindTom(a.env.list)
	}
	a.bash, _ = tomtit.LookPath("bash", a.env.list) // each job looks for itself, and says so
	a.docker = &place.Engine{Owner: ownerOf(root), Env: placeEnv(a.env.list)}
	if a.sparrowdo = cfg.Sparrowdo; a.sparrowdo == "auto" {
		a.sparrowdo = a.env.findSparrowdo()
	}
	if err := a.resume(context.Background()); err != nil {
		return nil, errors.Join(err, a.release())
	}
	a.tasks.Go(a.pruneLoop)
	a.tasks.Go(a.triggerLoop)
	return a, nil
}

func withDefaults(cfg Config) Config {
	if cfg.MaxJobs <= 0 {
		cfg.MaxJobs = max(8, 4*runtime.NumCPU())
	}
	if cfg.KeepBuilds <= 0 {
		cfg.KeepBuilds = DefaultKeepBuilds
	}
	if cfg.MaxDisk <= 0 {
		cfg.MaxDisk = DefaultMaxDisk
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:4000"
	}
	if cfg.Program == "" {
		cfg.Program, _ = os.Executable() // "": who needs it says so
	}
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname() // "" will do
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// resume opens the stores, settles what was running and queues what waited.
func (a *Agent) resume(ctx context.Context) (err error) {
	if a.files, err = openFiles(filepath.Join(a.cfg.Root, dirFiles), a.disk); err != nil {
		return err
	}
	if a.store, err = openStore(ctx, a.cfg.Root, a.crowded); err != nil {
		return err
	}
	if a.seq, err = a.store.lastSeq(ctx); err != nil {
		return err
	}
	left, err := a.store.unfinished(ctx)
	if err != nil {
		return err
	}
	var lost []string
	for _, rec := range left {
		if rec.State == sparky.CodeRunning {
			lost = append(lost, a.env.marker(rec.ID))
		}
	}
	if err := killLeftovers(lost); err != nil {
		a.log.Warn("processes of lost jobs are still there", "error", err)
	}
	if err := clearFolder(filepath.Join(a.cfg.Root, dirWork)); err != nil {
		return fmt.Errorf("agent: old checkouts: %w", err)
	}
	for _, rec := range left {
		if rec.State == sparky.CodeRunning {
			err = a.lose(rec)
		} else {
			err = a.requeue(ctx, rec)
		}
		if err != nil {
			return err
		}
	}
	a.startReady()
	return nil
}

// lose records that a job ran when the last agent ended.
func (a *Agent) lose(rec *record) error {
	a.log.Warn("job lost", "job", rec.ID, "project", rec.Project)
	rec.result = result{State: sparky.CodeFailed, Cause: causeInfrastructure, Lost: true,
		Error: "agent restarted while the job was running"}
	rec.Ended = time.Now()
	if fi, err := os.Stat(a.logPath(rec.ID)); err == nil {
		rec.LogSize = fi.Size()
	} else {
		rec.Log = []byte{}
	}
	return a.store.write(finished(*rec, true))
}

func (a *Agent) requeue(ctx context.Context, rec *record) error {
	data, err := a.store.payload(ctx, rec.Seq)
	if err != nil {
		return fmt.Errorf("job %s: its data: %w", rec.ID, err)
	}
	if string(data) == withheld {
		return a.unstartable(rec, "agent restarted while the job was queued, and does not keep the credential with which it clones")
	}
	spec, err := decodeSpec(data)
	var file *sparrowJob
	if err == nil && spec == nil {
		file, err = decodeSparrow(data)
	}
	if err != nil { // it was checked when it came: another version wrote it
		return a.unstartable(rec, "job data: "+err.Error())
	}
	j := newJob(*rec, spec, file, a.logPath(rec.ID))
	j.waited = true
	close(j.ready)
	a.mu.Lock()
	a.jobs[rec.ID] = j
	a.enqueue(j)
	a.mu.Unlock()
	a.watchLease(j)
	return nil
}

// unstartable records that a queued job will never start.
func (a *Agent) unstartable(rec *record, why string) error {
	rec.result = result{State: sparky.CodeFailed, Cause: causeInfrastructure, Error: why}
	rec.Ended, rec.Log = time.Now(), []byte{}
	return a.store.write(finished(*rec, true))
}

// Close takes no new jobs, kills those that run, records them as lost and
// returns when everything has ended. When ctx is done before, processes are
// killed without waiting for them to end by themselves.
func (a *Agent) Close(ctx context.Context) error {
	a.mu.Lock()
	if a.closing {
		a.mu.Unlock()
		return errors.New("agent: closed twice")
	}
	a.closing = true
	close(a.quit)
	var running []*job
	var markers []string
	for _, j := range a.jobs {
		running = append(running, j)
	}
	a.mu.Unlock()
	for _, j := range running {
		if j.doomWith(errStopping) {
			markers = append(markers, a.env.marker(j.id))
		}
	}
	ended := make(chan struct{})
	go func() { a.tasks.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		if err := killLeftovers(markers); err != nil {
			a.log.Warn("processes are still there", "error", err)
		}
		<-ended
	}
	return a.release()
}

func (a *Agent) release() error {
	var errs []error
	if a.store != nil {
		errs = append(errs, a.store.close())
	}
	if a.files != nil {
		errs = append(errs, a.files.close())
	}
	return errors.Join(append(errs, a.lock.Close())...)
}

func (a *Agent) logPath(id string) string {
	return filepath.Join(a.cfg.Root, dirLogs, id+".log")
}
