package sparky

import "strings"

// Sparrowfile is the program that a real Sparky host runs for every job.
var Sparrowfile = sparrowfile

// ReadReport gives the parts to the reader of a real Sparky's report, and
// returns what goes to the log and what the status is.
func ReadReport(code Code, parts ...string) (string, JobStatus) {
	var b strings.Builder
	log := newLogSink(&b, nil)
	r := newReportReader(log)
	for _, p := range parts {
		_, _ = r.Write([]byte(p)) // it does not fail
	}
	r.complete()
	_ = log.flush() // a strings.Builder does not fail
	return b.String(), r.status(code)
}
