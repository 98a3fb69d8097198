// Package bot is the GitHub App: webhooks in, comment commands, who may run
// what, queued runs worked on Sparky hosts, check runs out.
package bot
