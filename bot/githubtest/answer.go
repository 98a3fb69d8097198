package githubtest

import (
	"encoding/json"
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
	body   any      // encoded as JSON; nil: no body
	raw    []byte   // instead of body, not JSON
	broken []string // what the request violates

	encoded []byte // body as it is sent, once it was asked for
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

// bytes is what is sent.
func (a *answer) bytes() []byte {
	if a.body == nil {
		return a.raw
	}
	if a.encoded == nil {
		b, err := json.Marshal(a.body)
		if err != nil {
			panic(fmt.Sprintf("githubtest: answer encoded: %v", err)) // a mistake of this package
		}
		a.encoded = b
	}
	return a.encoded
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
