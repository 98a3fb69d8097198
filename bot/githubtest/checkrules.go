package githubtest

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// check is what GitHub's documentation forbids beyond its description, "" when
// nothing is wrong.
func (b *checkBody) check() string {
	for _, problem := range []string{b.checkState(), b.checkOutput(), b.checkActions()} {
		if problem != "" {
			return problem
		}
	}
	return ""
}

func (b *checkBody) checkState() string {
	switch {
	case b.Name != nil && strings.TrimSpace(*b.Name) == "":
		return "name is empty"
	case b.Status == "waiting" || b.Status == "requested" || b.Status == "pending":
		return fmt.Sprintf("status %q is set by GitHub Actions alone", b.Status)
	case b.Status == "completed" && b.Conclusion == "":
		return "a completed check run needs a conclusion"
	case b.Conclusion != "" && b.Status != "" && b.Status != "completed":
		return fmt.Sprintf("a conclusion with status %q", b.Status)
	case b.Conclusion == "stale":
		return "conclusion stale is set by GitHub alone"
	case b.CompletedAt != nil && b.Conclusion == "":
		return "completed_at without a conclusion"
	}
	if b.DetailsURL != nil && *b.DetailsURL != "" {
		if u, err := url.Parse(*b.DetailsURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Sprintf("details_url %q must use the http or https scheme", *b.DetailsURL)
		}
	}
	return ""
}

func (b *checkBody) checkOutput() string {
	o := b.Output
	switch {
	case o == nil:
		return ""
	case strings.TrimSpace(o.Title) == "":
		return "output without a title"
	case len(o.Summary) > maxOutputBytes:
		return fmt.Sprintf("output.summary has %d bytes, at most %d", len(o.Summary), maxOutputBytes)
	case o.Text != nil && len(*o.Text) > maxOutputBytes:
		return fmt.Sprintf("output.text has %d bytes, at most %d", len(*o.Text), maxOutputBytes)
	}
	for i, a := range o.Annotations {
		if problem := a.check(); problem != "" {
			return fmt.Sprintf("annotation %d: %s", i, problem)
		}
	}
	return ""
}

func (a Annotation) check() string {
	columns := a.StartColumn != nil || a.EndColumn != nil
	switch {
	case !relative(a.Path):
		return fmt.Sprintf("path %q is not relative to the repository's root", a.Path)
	case a.StartLine < 1:
		return "start_line is below 1"
	case a.EndLine < a.StartLine:
		return "end_line is before start_line"
	case columns && a.StartLine != a.EndLine:
		return "columns of more than one line"
	case a.StartColumn != nil && *a.StartColumn < 1, a.EndColumn != nil && *a.EndColumn < 1:
		return "a column is below 1"
	case a.StartColumn != nil && a.EndColumn != nil && *a.EndColumn < *a.StartColumn:
		return "end_column is before start_column"
	case a.Message == "" || len(a.Message) > maxMessageBytes:
		return fmt.Sprintf("message has %d bytes, from 1 to %d", len(a.Message), maxMessageBytes)
	case utf8.RuneCountInString(a.Title) > maxAnnotationTitle:
		return fmt.Sprintf("title has more than %d characters", maxAnnotationTitle)
	case len(a.RawDetails) > maxMessageBytes:
		return fmt.Sprintf("raw_details has more than %d bytes", maxMessageBytes)
	}
	return ""
}

// relative reports whether a path is one that Git gives to a file.
func relative(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return !strings.Contains(path, `\`)
}

// checkActions leaves their numbers and lengths to the description.
func (b *checkBody) checkActions() string {
	if b.Actions == nil {
		return ""
	}
	for _, a := range *b.Actions {
		if a.Label == "" || a.Description == "" || a.Identifier == "" {
			return "an action needs label, description and identifier"
		}
	}
	return ""
}
