package flow

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []junitCase `xml:"testcase"`

	total time.Duration
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	Class     string        `xml:"classname,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitOutcome `xml:"failure"`
	Error     *junitOutcome `xml:"error"`
	Skipped   *junitOutcome `xml:"skipped"`
	SystemOut *junitText    `xml:"system-out"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// junitText is character data that keeps its newlines as they are: the
// encoder would write each as a character reference.
type junitText struct {
	XML string `xml:",innerxml"`
}

func newJUnitText(s string) *junitText {
	if s == "" {
		return nil
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return &junitText{strings.ReplaceAll(b.String(), "&#xA;", "\n")}
}

// WriteJUnit writes the run as JUnit XML: a test suite for each project, a
// test case for each job. A job that failed by itself or by its timeout is a
// failure, one that failed by its infrastructure or was cancelled an error;
// the end of each log is its system-out, as plain text.
func WriteJUnit(w io.Writer, r *Run) error {
	doc := junitSuites{Name: "cromt " + PlainText(r.ID), Time: junitTime(r.CompletedAt.Sub(r.StartedAt))}
	index := map[string]int{}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		n, ok := index[j.Project]
		if !ok {
			n = len(doc.Suites)
			index[j.Project] = n
			doc.Suites = append(doc.Suites, junitSuite{Name: PlainText(j.Project)})
			if !r.StartedAt.IsZero() {
				doc.Suites[n].Timestamp = r.StartedAt.UTC().Format("2006-01-02T15:04:05")
			}
		}
		doc.Suites[n].add(r, j)
	}
	for i := range doc.Suites {
		s := &doc.Suites[i]
		s.Time = junitTime(s.total)
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(r *Run, j *JobReport) {
	d := j.Duration()
	c := junitCase{
		Name:      PlainText(j.Key),
		Class:     PlainText(j.Project),
		Time:      junitTime(d),
		SystemOut: newJUnitText(PlainText(j.Log())),
	}
	out := &junitOutcome{Message: r.Reason(j), Type: string(j.Cause)}
	switch {
	case j.Conclusion.Passed():
	case j.Conclusion == Skipped:
		c.Skipped = out
		s.Skipped++
	case j.Cause == CauseInfrastructure || j.Conclusion == Cancelled || j.Conclusion == "":
		c.Error = out
		s.Errors++
	default:
		out.Text, _ = FirstFailure(j.Log())
		c.Failure = out
		s.Failures++
	}
	s.Tests++
	s.total += d
	s.Cases = append(s.Cases, c)
}

func junitTime(d time.Duration) string {
	return fmt.Sprintf("%.3f", max(d, 0).Seconds())
}
