package flow

import "gopkg.in/yaml.v3"

// The tables of keys. Each one is the truth for the parser and the schema.

func topKeys() []key[File] {
	return []key[File]{
		{"projects", "What can run, by name.", typeProjects(), readProjects},
		textKey("storage", "A Sparky host that keeps the artifacts of a run. Without it each file is relayed from the host that made it to those that need it.", typeURL(),
			func(f *File) *Text { return &f.Storage }, checkURL),
		{"timeout", "Default of the projects that set none: seconds or a duration like 90m; 3600 seconds when absent.", typeDuration(),
			func(p *parser, f *File, k, n *yaml.Node) { p.duration(k, n, true, &f.Timeout) }},
		{"overlap", "What a newer run of the same branch or pull request does to an older one. Default: cancel for pull requests, queue for pushes.",
			typeEnum(overlaps()...),
			func(p *parser, f *File, k, n *yaml.Node) {
				if s := p.enum(k, n, overlaps()); s != "" {
					f.Overlap = Text{s, p.pos(n)}
				}
			}},
		{"pools", "Groups of hosts, by name: a project with pool runs on whichever of them has room.", typePools(), readPools},
	}
}

func projectKeys() []key[Project] {
	keys := []key[Project]{
		textKey("path", "Where the scenarios are: a git URL; a directory on the host (~/x, /x); or ./x, a folder of this repository, which is the default.",
			typePath(), func(t *Project) *Text { return &t.Path }, checkPath),
		textKey("branch", "Branch, tag or commit of path, and the branch whose pushes trigger is about. Default: the default branch.",
			typeText(), func(t *Project) *Text { return &t.Branch }, checkRef),
		{"hosts", "The job runs on every entry, in parallel. Without it: one job on url, or on localhost.", typeHosts(),
			func(p *parser, t *Project, _, n *yaml.Node) { t.Hosts = p.hostList(n) }},
		{"timeout", "How long the project's jobs may take together: seconds or a duration like 90m.", typeDuration(),
			func(p *parser, t *Project, k, n *yaml.Node) { p.duration(k, n, true, &t.Timeout) }},
		{"queue_timeout", "How long an attempt may wait on a host before it starts. Default 1h.", typeDuration(),
			func(p *parser, t *Project, k, n *yaml.Node) { p.duration(k, n, true, &t.QueueTimeout) }},
		{"artifacts", "Files that the jobs take over from earlier ones, and files that they hand on.", typeMap("artifacts", true), readArtifacts},
		{"before", "Projects that run before this one's jobs start.", typeDeps("dependency"),
			func(p *parser, t *Project, _, n *yaml.Node) { t.Before = p.depList(p.before, n) }},
		{"after", "Projects that run after this one's jobs have ended.", typeDeps("after"),
			func(p *parser, t *Project, _, n *yaml.Node) { t.After = p.depList(p.after, n) }},
		textKey("crontab", "Five fields (minute, hour, day, month, weekday): start the project at these times.",
			typeText(), func(t *Project) *Text { return &t.Crontab }, checkCrontab),
		{"trigger", "Which events of this repository start the project: true for pushes to branch, a list of events, or a map from events to filters.", typeTrigger(), readTrigger},
		{"retry", "How often a job is tried again: a number of further attempts, or a map.", typeRetry(), readRetry},
		boolKey("ignore_errors", "The jobs' failure is shown, but does not fail the flow.", func(t *Project) *bool { return &t.IgnoreErrors }),
		boolKey("fail_fast", "The first failed job of the project cancels its siblings. Default false.", func(t *Project) *bool { return &t.FailFast }),
		textKey("pool", "The jobs run on hosts of this pool, wherever there is room. Excludes hosts and url.", typeName(projectNamePattern),
			func(t *Project) *Text { return &t.Pool.Name }, checkPoolName),
		{"labels", "Labels that a host of the pool must have, all of them.", typeNames("label", projectNamePattern, false),
			func(p *parser, t *Project, k, n *yaml.Node) {
				t.Pool.LabelsPos, t.Pool.Labels = p.pos(k), values(p.names(k, n, isLabel, labelRule))
			}},
		{"workers", "How many copies of the job run on the pool; each gets WORKER (from 1) and WORKERS. Default 1.", typeInt(1, MaxJobs),
			func(p *parser, t *Project, k, n *yaml.Node) {
				t.Pool.WorkersPos = p.pos(k)
				p.integer(k, n, 1, MaxJobs, &t.Pool.Workers)
			}},
		{"matrix", "Variables with lists of values: each combination is a job with these. include adds to combinations or adds some, exclude removes some.",
			typeMap("matrix", false), readMatrix},
	}
	return append(keys, settingKeys(func(t *Project) *Settings { return &t.Settings })...)
}

func hostKeys() []key[Host] {
	return settingKeys(func(t *Host) *Settings { return &t.Settings })
}

// depKeys are those of an entry of before, or of after.
func depKeys(after bool) []key[Dep] {
	when := key[Dep]{"when", "", valueType{raw: true}, func(p *parser, _ *Dep, k, _ *yaml.Node) {
		p.fail(p.pos(k), `"when" is not for an entry of before`, "what is under before always runs first; move the entry to after, or remove when")
	}}
	if after {
		when = key[Dep]{"when", "On which outcome of the jobs the entry runs. Default success.", typeEnum(whens()...),
			func(p *parser, t *Dep, k, n *yaml.Node) { t.When = When(p.enum(k, n, whens())) }}
	}
	keys := []key[Dep]{
		textKey("name", "The project to run.", typeName(projectNamePattern), func(t *Dep) *Text { return &t.Name }, nil),
		{"hosts", "Hosts that replace the project's.", typeHosts(),
			func(p *parser, t *Dep, _, n *yaml.Node) { t.Hosts = p.hostList(n) }},
		{"timeout", "Timeout that replaces the project's.", typeDuration(),
			func(p *parser, t *Dep, k, n *yaml.Node) { p.duration(k, n, true, &t.Timeout) }},
		when,
	}
	return append(keys, settingKeys(func(t *Dep) *Settings { return &t.Settings })...)
}

// settingKeys are those that a project, a host entry and a dependency share.
func settingKeys[T any](of func(*T) *Settings) []key[T] {
	return []key[T]{
		textKey("url", "The Sparky host, like https://hostA:4000. Default: localhost.", typeURL(), func(t *T) *Text { return &of(t).URL }, checkURL),
		textKey("action", "Scenario names, separated by spaces, run in order. Default: default.", typeText(), func(t *T) *Text { return &of(t).Action }, checkAction),
		textKey("options", "Command-line options of Tomtit, split as shell words. Default: --verbose.", typeAnyText(), func(t *T) *Text { return &of(t).Options }, checkOptions),
		textKey("queue-id", "The jobs of one run with the same queue-id run one at a time.", typeText(), func(t *T) *Text { return &of(t).QueueID }, nil),
		textKey("title", "Shown instead of the generated title.", typeText(), func(t *T) *Text { return &of(t).Title }, nil),
		{"vars", "Environment variables of the job.", typeVars(),
			func(p *parser, t *T, _, n *yaml.Node) { of(t).Vars = p.vars(n) }},
		{"secrets", "Names of environment variables whose values come from where the run is started.", typeNames("secret", envNamePattern, true),
			func(p *parser, t *T, k, n *yaml.Node) { of(t).Secrets = p.names(k, n, isEnvName, envNameRule) }},
		{"sparrowdo", "How the host runs the job, for example in a container.", typeMap("sparrowdo", true),
			func(p *parser, t *T, _, n *yaml.Node) { of(t).Sparrowdo = p.sparrowdo(n) }},
	}
}

func artifactKeys() []key[Project] {
	return []key[Project]{
		{"in", "Names of files from earlier projects; each is at .artifacts/<name> before the run.", typeNames("artifact", artifactNamePattern, true),
			func(p *parser, t *Project, k, n *yaml.Node) { t.In = p.names(k, n, isArtifactName, artifactNameRule) }},
		{"out", "Files to keep after a successful run.", typeList("output", true), readOutputs},
	}
}

func outputKeys() []key[Output] {
	return []key[Output]{
		{"file", "The name under which it is kept.", typeName(artifactNamePattern), readOutputFile},
		{"path", "Where it is, relative to the checkout.", typeText(), readOutputPath},
	}
}

func retryKeys() []key[Retry] {
	return []key[Retry]{
		{"limit", "Attempts after the first.", typeInt(0, MaxRetries),
			func(p *parser, t *Retry, k, n *yaml.Node) { p.integer(k, n, 0, MaxRetries, &t.Limit) }},
		{"delay", "Before the second attempt. Default 10s.", typeDelay(),
			func(p *parser, t *Retry, k, n *yaml.Node) { p.duration(k, n, false, &t.Delay) }},
		{"backoff", "Factor from one delay to the next. Default 2.", typeNumber(1, MaxBackoff),
			func(p *parser, t *Retry, k, n *yaml.Node) { p.number(k, n, 1, MaxBackoff, &t.Backoff) }},
		{"max_delay", "The longest delay. Default 5m.", typeDelay(),
			func(p *parser, t *Retry, k, n *yaml.Node) { p.duration(k, n, false, &t.MaxDelay) }},
		{"on", "What is retried. Default: failure.", typeEnums(retryOn()...),
			func(p *parser, t *Retry, k, n *yaml.Node) { t.On = p.enums(k, n, retryOn()) }},
	}
}

func filterKeys() []key[TriggerEvent] {
	return []key[TriggerEvent]{
		{"branches", "Globs of branches; ! in front negates.", typeGlobs(),
			func(p *parser, t *TriggerEvent, k, n *yaml.Node) { t.Branches = p.globs(k, n) }},
		{"paths", "Globs of changed files; ! in front negates.", typeGlobs(),
			func(p *parser, t *TriggerEvent, k, n *yaml.Node) { t.Paths = p.globs(k, n) }},
	}
}

// optionKey is one key of sparrowdo: a yes or no, or a text that reaches a
// shell on a real Sparky.
type optionKey struct {
	doc  string
	bool bool
}

func sparrowdoKeys() map[string]optionKey {
	return map[string]optionKey{
		"docker":          {"Name of the running container that the job runs in.", false},
		"image":           {"Image that is started first, under the name in docker.", false},
		"host":            {"Host that the job is run on over SSH.", false},
		"ssh_user":        {"User of that host.", false},
		"ssh_port":        {"SSH port of that host.", false},
		"ssh_private_key": {"Private key file, on the Sparky host.", false},
		"sync":            {"Directory to copy to that host first.", false},
		"repo":            {"Sparrow plugin repository.", false},
		"secretsfile":     {"File of secrets, on the Sparky host.", false},
		"no_sudo":         {"Run without sudo.", true},
		"sudo":            {"Run under sudo.", true},
		"bootstrap":       {"Install Raku and Sparrow first.", true},
		"no_index_update": {"Do not update the plugin index.", true},
		"verbose":         {"Log more.", true},
		"debug":           {"Log everything.", true},
		"localhost":       {"Run on the Sparky host itself, which is the default.", true},
	}
}

func whens() []string { return []string{"success", "failure", "always"} }

func overlaps() []string { return []string{"cancel", "queue", "allow"} }

func retryOn() []string { return []string{"failure", "timed_out", "lost"} }

func triggerEvents() []string { return []string{"push", "pull_request", "merge_group"} }
