package sparkytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/sparky"
)

// FakeConfig says how a Fake behaves.
type FakeConfig struct {
	Token string // asked for when set, by the routes that a real Sparky guards
	// Scan is the time between two looks at the queues; 0 is 1 s.
	Scan time.Duration
	// Start is the time that a job stays queued after it was picked up; 0 is 1 s.
	Start time.Duration
	// Keep is how many ended jobs of a project are known; 0 is all. (keep_builds)
	Keep int
	// Run is what a job does; nil is [RunSpec].
	Run func(*FakeJob) (exitCode int)
}

// Fake is a host with the manners of a real Sparky, also the bad ones: its
// queues are not in order, a job posted again after it has ended runs again,
// the report is 500 when the job has just started, and for ever when it is not
// UTF-8, errors come as 200, a cancel wants the cookies of a login and is 500 in
// a project that has never run, and a project may forget its older jobs. It
// runs no program: Run plays the job.
type Fake struct {
	cfg    FakeConfig
	mux    *http.ServeMux
	ctx    context.Context //nolint:containedctx // the life of the jobs' goroutines, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	queues map[string]map[string]sparky.QueueRequest // project → job-id: the triggers
	busy   map[string]bool                           // projects with a job that runs
	ever   map[string]bool                           // projects that have ever run one
	jobs   map[string]*FakeJob                       // by project/job-id, started ones
	files  map[string][]byte                         // project/job-id/name
	stash  map[string][]byte                         // project/job-id
	killed map[string]bool                           // project/job-id with a .terminate file
	runs   map[string]int                            // project/job-id: how often it has run
	ended  map[string][]string                       // project → project/job-id, the oldest first
}

// NewFake returns a Fake. Close it.
func NewFake(cfg FakeConfig) *Fake {
	if cfg.Scan == 0 {
		cfg.Scan = time.Second
	}
	if cfg.Start == 0 {
		cfg.Start = time.Second
	}
	if cfg.Run == nil {
		cfg.Run = RunSpec
	}
	f := &Fake{
		cfg: cfg, queues: map[string]map[string]sparky.QueueRequest{}, busy: map[string]bool{}, ever: map[string]bool{},
		jobs: map[string]*FakeJob{}, files: map[string][]byte{}, stash: map[string][]byte{}, killed: map[string]bool{}, runs: map[string]int{},
		ended: map[string][]string{},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.routes()
	f.wg.Add(1)
	go f.scan()
	return f
}

// Close ends all jobs and waits for them.
func (f *Fake) Close() {
	f.cancel()
	f.wg.Wait()
}

// Runs returns how often the job has run.
func (f *Fake) Runs(project, jobID string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs[project+"/"+jobID]
}

// File returns a file that the job keeps, or nil.
func (f *Fake) File(project, jobID, name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files[project+"/"+jobID+"/"+name]
}

func (f *Fake) scan() {
	defer f.wg.Done()
	tick := time.NewTicker(f.cfg.Scan)
	defer tick.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		for project, queue := range f.queues {
			for id := range queue { // in no order, as readdir
				if !f.busy[project] {
					f.busy[project], f.ever[project] = true, true
					f.wg.Add(1)
					go f.run(project, id)
				}
			}
		}
		f.mu.Unlock()
	}
}

// run plays sparky-runner for one trigger.
func (f *Fake) run(project, id string) {
	defer f.wg.Done()
	key := project + "/" + id
	f.pause(f.cfg.Start)
	f.mu.Lock()
	q := f.queues[project][id] // posted again meanwhile: the last one counts
	delete(f.queues[project], id)
	ctx, kill := context.WithCancel(f.ctx)
	defer kill()
	j := &FakeJob{Project: project, ID: id, Request: q, fake: f, kill: kill, begun: time.Now(), code: sparky.CodeRunning}
	j.ctx = ctx
	if first := f.jobs[key]; first != nil {
		j.stale = first.text() // the report of a job-id is that of its first run, for ever
	}
	f.jobs[key] = j
	f.runs[key]++
	f.mu.Unlock()
	exit := 0
	if !f.terminated(key) {
		exit = f.play(j)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.killed[key]:
		j.code = sparky.CodeCancelled
		j.printf("Terminated\n")
	case exit != 0:
		j.code = sparky.CodeFailed
		j.printf("The spawned command 'bash --login .sparrowdo/sparrowrun.sh' exited unsuccessfully (exit code: %d, signal: 0)\r\n  in block <unit> at /home/sparky/.raku/bin/sparrowdo line 1\r\n\r\n", exit)
	default:
		j.code = sparky.CodeOK
	}
	delete(f.busy, project)
	f.ended[project] = append(f.ended[project], key)
	for f.cfg.Keep > 0 && len(f.ended[project]) > f.cfg.Keep {
		delete(f.jobs, f.ended[project][0])
		f.ended[project] = f.ended[project][1:]
	}
}

// play runs the job and kills it when it is cancelled, up to two seconds late.
func (f *Fake) play(j *FakeJob) int {
	done := make(chan struct{})
	f.wg.Add(1)
	go func() {
		defer f.wg.Done()
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-f.ctx.Done():
				return
			case <-tick.C:
				if f.terminated(j.Project + "/" + j.ID) {
					j.kill()
				}
			}
		}
	}()
	exit := f.cfg.Run(j)
	close(done)
	return exit
}

func (f *Fake) terminated(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.killed[key]
}

func (f *Fake) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.ctx.Done():
	}
}

// FakeJob is a job that runs on a Fake.
type FakeJob struct {
	Project, ID string
	Request     sparky.QueueRequest

	fake  *Fake
	ctx   context.Context //nolint:containedctx // the life of this job
	kill  context.CancelFunc
	begun time.Time
	stale *string

	// Guarded by the mutex of fake.
	code sparky.Code
	out  strings.Builder
}

// Printf adds to the report.
func (j *FakeJob) Printf(format string, args ...any) {
	j.fake.mu.Lock()
	defer j.fake.mu.Unlock()
	j.printf(format, args...)
}

func (j *FakeJob) printf(format string, args ...any) { fmt.Fprintf(&j.out, format, args...) }

func (j *FakeJob) text() *string {
	if j.stale != nil {
		return j.stale
	}
	s := strings.ReplaceAll(j.out.String(), "\r\n", "\n")
	return &s
}

// Sleep waits, and says whether the job may go on: not when Sparky has killed
// it, nor when its own stash asks it to stop, which it looks at every three
// seconds as cromt's program does.
func (j *FakeJob) Sleep(d time.Duration) (goOn bool) {
	end := time.NewTimer(d)
	defer end.Stop()
	look := time.NewTicker(3 * time.Second)
	defer look.Stop()
	for {
		select {
		case <-end.C:
			return true
		case <-j.ctx.Done():
			return false
		case <-look.C:
			if j.Asked() {
				return false
			}
		}
	}
}

// Asked says whether the job's stash asks it to stop.
func (j *FakeJob) Asked() bool {
	j.fake.mu.Lock()
	defer j.fake.mu.Unlock()
	var flag struct{ Cancel bool }
	return json.Unmarshal(j.fake.stash[j.Project+"/"+j.ID], &flag) == nil && flag.Cancel
}

// Keep puts a file to the job's own.
func (j *FakeJob) Keep(name string, content []byte) {
	j.fake.mu.Lock()
	defer j.fake.mu.Unlock()
	j.fake.files[j.Project+"/"+j.ID+"/"+name] = content
}

// Spec returns the job as data.
func (j *FakeJob) Spec() (sparky.Spec, error) {
	var s sparky.Spec
	err := json.Unmarshal(j.Request.SparrowdoConfig, &s)
	return s, err
}

// readBody reads a request's body; a broken one is not an answerable request.
func readBody(r *http.Request) []byte {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return b
}
