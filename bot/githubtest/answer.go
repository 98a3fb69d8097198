package githubtest

import (
	"fmt"
	"net/http"
)

// Where GitHub's pages are in this fake: no such host exists.
const (
	webURL  = "https://github.test"
	docsURL = "https://docs.github.test"
)

// answer is what a handler says.
type answer struct {
	status int
	header http.Header
	body   any    // encoded as JSON; nil: no body
	raw    []byte // instead of body, not JSON
	broken []string
}

func ok(body any) *answer      { return &answer{status: http.StatusOK, body: body} }
func created(body any) *answer { return &answer{status: http.StatusCreated, body: body} }

// refusal is an error that a right program may meet.
func refusal(status int, message string) *answer {
	body := object{"message": message, "documentation_url": docsURL + "/rest"}
	if status != http.StatusUnprocessableEntity {
		body["status"] = fmt.Sprint(status)
	}
	return &answer{status: status, body: body}
}

func notFound() *answer { return refusal(http.StatusNotFound, "Not Found") }

// invalid is a refusal of a request that a right program never sends: it is a
// violation as well.
func invalid(status int, format string, args ...any) *answer {
	why := fmt.Sprintf(format, args...)
	a := refusal(status, "Invalid request.\n\n"+why)
	a.broken = []string{why}
	return a
}

func unprocessable(format string, args ...any) *answer {
	return invalid(http.StatusUnprocessableEntity, format, args...)
}
