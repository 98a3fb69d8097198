// Package trigger decides what an event starts: which projects of a jobs.yaml
// a push, a pull request or a merge group selects, when schedules come, under
// which key a run is kept so that the same cause is one run, and what a newer
// run does to an older one. It only decides: it asks nobody and keeps nothing.
package trigger
