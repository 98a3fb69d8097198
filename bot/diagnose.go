package bot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// Level is how bad a Finding is.
type Level string

// The levels.
const (
	OK    Level = "ok"
	Note  Level = "note"  // it works, but not all of it, or not as it may be meant
	Wrong Level = "WRONG" // it does not work
)

// Finding is what a diagnosis says of one thing.
type Finding struct {
	Level Level
	What  string // database, webhook
	Text  string
	Hint  string // what to do; "" where there is nothing to do
}

// Diagnosis looks at all that the App needs, and changes nothing of it.
type Diagnosis struct {
	GitHub   *githubapp.App
	Settings *Settings
	// Database says how the database is; see [store.Inspect].
	Database func(context.Context) (string, error)
	Report   func(Finding)
}

// Run looks, and reports each finding as soon as it has it.
func (d *Diagnosis) Run(ctx context.Context) {
	if text, err := d.Database(ctx); err != nil {
		d.Report(Finding{Wrong, "database", err.Error(), ""})
	} else {
		d.Report(Finding{OK, "database", text, ""})
	}
	if d.app(ctx) {
		d.webhook(ctx)
		d.installations(ctx)
	}
	d.hosts(ctx)
}

// app reports whether it can sign in as the App at all.
func (d *Diagnosis) app(ctx context.Context) bool {
	self, err := d.GitHub.Self(ctx)
	if err != nil {
		d.Report(Finding{Wrong, "github app", err.Error(), ""})
		return false
	}
	d.Report(Finding{OK, "github app", fmt.Sprintf("%s, %d, of %s: %s", self.Name, self.ID, self.Owner, self.Page), ""})
	d.granted("the App", self.Permissions, self.Events, "set it in the App's settings, under Permissions & events, and have each account accept it")
	return true
}

// granted compares what there is with what is needed.
func (d *Diagnosis) granted(who string, permissions map[string]string, events []string, hint string) {
	required, _ := githubapp.Needed()
	var lacks []string
	for _, name := range slices.Sorted(maps.Keys(required)) {
		if has := permissions[name]; has != required[name] && has != "write" && has != "admin" {
			lacks = append(lacks, name+": "+required[name])
		}
	}
	if len(lacks) > 0 {
		d.Report(Finding{Wrong, "permissions", who + " lacks " + strings.Join(lacks, ", "), hint})
	}
	lacks = nil
	for _, name := range slices.Sorted(maps.Keys(githubapp.Events())) {
		if !slices.Contains(events, name) && name != "merge_group" {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		d.Report(Finding{Wrong, "events", who + " is not told of " + strings.Join(lacks, ", "), hint})
	}
	if !slices.Contains(events, "merge_group") {
		d.Report(Finding{Note, "events", who + " is not told of merge_group: merge queues that require the check wait for ever",
			"if you use them, give the permission merge_queues: read and subscribe to merge_group"})
	}
}

func (d *Diagnosis) webhook(ctx context.Context) {
	hook, err := d.GitHub.Hook(ctx)
	if err != nil {
		d.Report(Finding{Wrong, "webhook", err.Error(), ""})
		return
	}
	const where = "in the App's settings, under General, Webhook"
	want := d.Settings.PublicURL + "/webhook"
	switch {
	case hook.URL == "":
		d.Report(Finding{Wrong, "webhook", "it is not set", "make it active with the URL " + want + " " + where})
	case hook.URL != want:
		d.Report(Finding{Wrong, "webhook", fmt.Sprintf("it goes to %s and not to %s", hook.URL, want), "change it " + where + ", or public_url"})
	case hook.ContentType != "json":
		d.Report(Finding{Wrong, "webhook", "its content type is " + hook.ContentType, "choose application/json " + where})
	case hook.Insecure:
		d.Report(Finding{Note, "webhook", "GitHub does not check the certificate of " + want, "enable SSL verification " + where})
	default:
		d.Report(Finding{OK, "webhook", hook.URL, ""})
	}
}

func (d *Diagnosis) installations(ctx context.Context) {
	all, err := d.GitHub.Installations(ctx)
	if err != nil {
		d.Report(Finding{Wrong, "installations", err.Error(), ""})
		return
	}
	if len(all) == 0 {
		d.Report(Finding{Note, "installations", "the App is installed nowhere", "install it from its page, or from the App's settings, under Install App"})
	}
	for _, in := range all {
		if in.Suspended {
			d.Report(Finding{Note, "installation", in.Account + " has suspended it", "its owner can unsuspend it at " + in.Page})
			continue
		}
		d.granted("the installation of "+in.Account, in.Permissions, in.Events, "have "+in.Account+" accept it at "+in.Page)
		repos, err := d.GitHub.Installed(ctx, in.ID)
		if err != nil {
			d.Report(Finding{Wrong, "installation", in.Account + ": " + err.Error(), ""})
			continue
		}
		d.repos(in.Account, repos)
	}
}

// repos says how many repositories have a host to run on.
func (d *Diagnosis) repos(account string, repos []githubapp.Installed) {
	served := 0
	for _, r := range repos {
		hosts := trust.Hosts(d.Settings.Hosts, r.FullName, false)
		if slices.ContainsFunc(d.Settings.Hosts, func(h flow.HostEntry) bool { _, err := hosts.Resolve(h.URL, flow.Pos{}); return err == nil }) {
			served++
		}
	}
	f := Finding{OK, "installation", fmt.Sprintf("%s: %d of its repositories, %d with a host", account, len(repos), served), ""}
	if served == 0 {
		f.Level, f.Hint = Note, "list them in the repos of a host"
	}
	d.Report(f)
}

// hosts looks at all of them at once: those that say nothing take their time.
func (d *Diagnosis) hosts(ctx context.Context) {
	findings := make([]Finding, len(d.Settings.Hosts))
	var all sync.WaitGroup
	for i, entry := range d.Settings.Hosts {
		all.Go(func() { findings[i] = d.host(ctx, entry) })
	}
	all.Wait()
	for _, f := range findings {
		d.Report(f)
	}
}

// of is a finding about a host that does not answer well.
func (f Finding) of(host string, err error) Finding {
	f.Text = host + ": " + err.Error()
	var e *sparky.Error
	if !errors.As(err, &e) {
		return f
	}
	f.Text = host + ": " + e.Err.Error()
	switch {
	case e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized:
		f.Text, f.Hint = fmt.Sprintf("%s: it does not take the token (%d)", host, e.Status), "write the token that it was started with to a file, and name that as its token_file"
	case e.Status != 0:
		f.Text, f.Hint = fmt.Sprintf("%s: HTTP %d: %v", host, e.Status, e.Err), "is it an agent or a Sparky, and not something before it?"
	case e.Kind == sparky.KindUntrusted:
		f.Hint = "" // it says what to do
	}
	return f
}

func (d *Diagnosis) host(ctx context.Context, entry flow.HostEntry) Finding {
	f := Finding{Level: Wrong, What: "host", Hint: "is its agent or Sparky running, and can it be reached from here?"}
	config, err := d.Settings.Host(entry)
	var client *sparky.Client
	if err == nil {
		client, err = sparky.NewClient(config)
	}
	if err != nil {
		f.Text, f.Hint = err.Error(), ""
		return f
	}
	defer client.CloseIdle()
	name := entry.URL
	if entry.Name != "" {
		name = entry.Name + ", " + entry.URL
	}
	ctx, cancel := context.WithTimeout(ctx, 2*healthTime)
	defer cancel()
	p, err := probe(ctx, client)
	version := "cromt " + p.Version
	if err == nil && p.Version == "" {
		version, err = "a Sparky", client.CheckToken(ctx)
	}
	if err != nil {
		return f.of(name, err)
	}
	f.Level, f.Hint = OK, ""
	f.Text = fmt.Sprintf("%s: %s, answers in %v", name, version, p.Latency.Round(time.Millisecond))
	return f
}
