// Package agent is a Sparky-compatible host in Go: the HTTP API of a Sparky,
// its queues, and the execution of cromt jobs with nothing but bash and git.
// It serves localhost where no Sparky is installed, it is the agent of a
// machine of its own, with pages for people, and it is the peer that tests run
// against.
//
// # What is kept
//
// The state of every job is in an SQLite database below Config.Root. It is
// committed before it is announced: a job that was accepted is there after a
// crash, a job that is reported as ended has ended. A job that was running
// when the agent died is reported as lost, never as passed and never run again.
// A job-id is remembered for ever, so that posting it again attaches to the
// job instead of running it twice. The data of a job, which holds its secrets,
// is stored only while the job waits in its queue. A job with a clone
// credential is kept in memory alone: when the agent restarts while it waits,
// it ends as not started, and its orchestrator sends it again.
//
// # Order
//
// Jobs of one Sparky project run one at a time, in the order in which they
// were accepted. Projects run in parallel, up to Config.MaxJobs jobs.
// Sparrowfiles are not counted among those, since they wait for jobs that they
// queue, often on their own host.
//
// # Projects
//
// A folder Root/projects/NAME with a sparrowfile is a project, as on a Sparky.
// Its sparky.yaml may say sparrowdo (with tags), crontab (in the time zone of
// the host), scm, allow_manual_run, disabled, keep_builds, downstream, vars and
// group_vars; %name% is filled in from Root/templates. Unlike a Sparky,
// allow_manual_run and disabled bind the API too.
//
// A sparrowfile whose first line holds a command ([sparky.Direct]), as cromt
// apply writes it, is run by that command: its output is the report, its exit
// code the result, and a cancel is TERM for its whole tree, with
// [sparky.DirectGrace] to end. It finds the build's tags in SP6_TAGS, encoded as
// a Sparky does. Every other sparrowfile is run by the host's sparrowdo, in the
// way of a Sparky's runner but with no shell between; where there is none it is
// refused, with the reason in its report.
//
// # Security
//
// Whoever may post a job runs commands as the user of the agent. Programs send
// the token, people sign in: with a name of Config.Users, or, without that,
// with the token. With either of them, and unlike a real Sparky, every route
// but /healthz and the sign-in asks for it, those that only show data (status,
// report, stash, files) too. With neither, the agent listens on loopback
// addresses only, its pages are open as a Sparky's, and it refuses requests that
// a web page of another origin could send. Such requests never use anybody's
// sign-in either. Attempts to sign in are counted by address. Sessions are in
// memory: a restart of the agent ends them.
//
// A job's environment holds nothing of the agent's own. A sparrowfile gets a
// token that is good until it ends, since others can see it in its arguments. A
// clone credential is in the environment of git fetch alone, where only
// processes of the agent's user can see it: jobs that run meanwhile are such
// processes. Passwords among a build's parameters are not kept with it.
//
// # Processes
//
// A job is killed as a tree on cancel and timeout: TERM, and KILL after
// [sparky.KillGrace]. What a job leaves running is killed when it ends. On
// Linux the tree includes processes that left the job's session, found by the
// CROMT_JOB variable of their environment, the job's id and what is the agent's
// own; a process that is meant to outlive
// its job is started without it (env -u CROMT_JOB setsid …) or by the
// machine's service manager. A job whose folder, its checkout and TMPDIR, grows
// over Config.MaxDisk is killed; what it writes elsewhere is not counted.
//
// # Differences from a real Sparky
//
// Malformed requests are answered 400 with {"error":…}, builds of projects
// without a folder 404. The live log is server-sent events, not a web socket.
// Triggers come by the API, crontabs and commits, not as files; plugins are
// ignored; a sparrowfile runs without a terminal. The extensions announced by
// [sparky.Hello] are the long poll and JSON on /status, the same news in the
// answer to POST /queue?wait=S, offset on /report/raw, cancel by token, leases
// and archives.
package agent
