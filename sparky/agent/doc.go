// Package agent is a Sparky-compatible host in Go: the HTTP API of a Sparky,
// its queues, and the execution of cromt jobs with nothing but bash and git.
// It serves localhost where no Sparky is installed, it is the agent of a
// machine of its own, and it is the peer that tests run against.
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
//
// # Security
//
// Whoever may post a job runs commands as the user of the agent. Without a
// token the agent therefore listens on loopback addresses only, and refuses
// requests that a web page of another origin could send. With a token, and
// unlike a real Sparky, every route but /healthz requires it, those that only
// show data (status, report, stash, files) too: cromt's own clients always
// send it. A job's environment holds nothing of the agent's own. A clone
// credential is in the environment of git fetch alone, where only processes of
// the agent's user can see it: jobs that run meanwhile are such processes.
//
// # Processes
//
// A job is killed as a tree on cancel and timeout: TERM, and KILL after
// [sparky.KillGrace]. What a job leaves running is killed when it ends. On
// Linux the tree includes processes that left the job's session, found by the
// CROMT_JOB variable of their environment; a process that is meant to outlive
// its job is started without it (env -u CROMT_JOB setsid …) or by the
// machine's service manager.
//
// # Differences from a real Sparky
//
// A job whose sparrowdo-config is not a [sparky.Spec] ends failed, with a
// report that says why: other sparrowfiles need Raku and sparrowdo.
// Malformed requests are answered 400 with {"error":…}. The extensions
// announced by [sparky.Hello] are the long poll and JSON on /status, offset on
// /report/raw, cancel by token, leases and archives.
package agent
