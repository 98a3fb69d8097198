package githubtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// checkRequest is what is wrong with a request according to the description,
// one sentence each.
func checkRequest(r *http.Request, body []byte, rt *routers.Route, params map[string]string) []string {
	wrong := append(checkHeaders(r), checkQuery(r.URL.Query(), rt.Operation)...)
	in := &openapi3filter.RequestValidationInput{
		Request: requestWithBody(r, body), PathParams: params, Route: rt, QueryParams: r.URL.Query(),
		Options: &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true, RejectWhenRequestBodyNotSpecified: true},
	}
	wrong = append(wrong, sentences(openapi3filter.ValidateRequest(r.Context(), in))...)
	if rt.Operation.RequestBody == nil {
		return wrong
	}
	var v any
	media := rt.Operation.RequestBody.Value.Content.Get("application/json")
	if media != nil && len(body) > 0 && json.Unmarshal(body, &v) == nil {
		wrong = append(wrong, undescribed("", media.Schema.Value, v)...)
	}
	return wrong
}

// requestWithBody is r as the validator wants it: a copy that it may change,
// with a body to read.
func requestWithBody(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body, c.GetBody, c.ContentLength = http.NoBody, nil, int64(len(body))
	if len(body) > 0 {
		c.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c
}

func checkHeaders(r *http.Request) []string {
	var wrong []string
	if r.UserAgent() == "" {
		wrong = append(wrong, "no User-Agent: GitHub refuses such requests")
	}
	if v := r.Header.Get("X-Github-Api-Version"); v != "" && v != "2022-11-28" {
		wrong = append(wrong, fmt.Sprintf("X-GitHub-Api-Version %q is none of GitHub's", v))
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if accept != "" && !strings.Contains(accept, "json") && !strings.Contains(accept, "github") && !strings.Contains(accept, "*/*") {
		wrong = append(wrong, fmt.Sprintf("Accept %q is nothing that GitHub answers with", accept))
	}
	return wrong
}

// checkQuery finds what GitHub would ignore in silence: parameters that the
// operation does not have, and pages larger than it gives.
func checkQuery(query url.Values, op *openapi3.Operation) []string {
	var wrong []string
	for name, values := range query {
		if op.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			wrong = append(wrong, fmt.Sprintf("query parameter %q is not described", name))
		}
		if len(values) > 1 {
			wrong = append(wrong, fmt.Sprintf("query parameter %q is given %d times", name, len(values)))
		}
	}
	for name, most := range map[string]int{"per_page": maxPerPage, "page": 1 << 30} {
		if n, err := strconv.Atoi(query.Get(name)); err == nil && (n < 1 || n > most) {
			wrong = append(wrong, fmt.Sprintf("%s %d is not between 1 and %d", name, n, most))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// checkAnswer is what is wrong with an answer of ours.
func (d *description) checkAnswer(r *http.Request, rt *routers.Route, a *answer) []string {
	if a.raw != nil {
		return nil // a media type that the description does not have
	}
	described := rt.Operation.Responses.Status(a.status)
	if described == nil && a.status < http.StatusBadRequest {
		return []string{fmt.Sprintf("our status %d is not described", a.status)}
	}
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	schema := d.errorSchema(a.status)
	if described != nil {
		err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: rt},
			Status:                 a.status, Header: header, Body: io.NopCloser(bytes.NewReader(a.bytes())),
			Options: &openapi3filter.Options{MultiError: true, IncludeResponseStatus: true},
		})
		if err != nil {
			return sentences(err)
		}
		media := described.Value.Content.Get("application/json")
		if media == nil {
			return nil
		}
		schema = media.Schema.Value
	}
	var v any
	if err := json.Unmarshal(a.bytes(), &v); err != nil {
		return []string{"our body is not JSON: " + err.Error()}
	}
	if described == nil {
		if err := schema.VisitJSON(v, openapi3.MultiErrors(), openapi3.VisitAsResponse()); err != nil {
			return sentences(err)
		}
	}
	return undescribed("", schema, v)
}

// errorSchema is what an error of a status looks like where the operation does
// not describe it; GitHub describes few of those that it gives.
func (d *description) errorSchema(status int) *openapi3.Schema {
	if status == http.StatusUnprocessableEntity {
		return d.schema("validation-error")
	}
	return d.schema("basic-error")
}

// sentences flattens a validator's error.
func sentences(err error) []string {
	var all openapi3.MultiError
	var request *openapi3filter.RequestError
	var response *openapi3filter.ResponseError
	var schema *openapi3.SchemaError
	switch {
	case err == nil:
		return nil
	case isMulti(err, &all):
		var out []string
		for _, e := range all {
			out = append(out, sentences(e)...)
		}
		return out
	case errors.As(err, &request):
		what := request.Reason
		if request.Parameter != nil {
			what = fmt.Sprintf("parameter %q", request.Parameter.Name)
		}
		return prefixed(what, request.Err)
	case errors.As(err, &response):
		return prefixed("our answer: "+response.Reason, response.Err)
	case errors.As(err, &schema):
		return []string{fmt.Sprintf("/%s: %s", strings.Join(schema.JSONPointer(), "/"), schema.Reason)}
	}
	return []string{err.Error()}
}

// isMulti is errors.As without unwrapping: MultiError's As would look into its parts.
func isMulti(err error, target *openapi3.MultiError) bool {
	m, ok := err.(openapi3.MultiError) //nolint:errorlint // see above
	*target = m
	return ok
}

func prefixed(what string, err error) []string {
	if err == nil {
		return []string{what}
	}
	out := sentences(err)
	for i := range out {
		if what != "" {
			out[i] = what + ": " + out[i]
		}
	}
	return out
}

// undescribed lists the properties of v that its schema does not have. GitHub
// ignores them, so that a misspelt one is lost without a word.
func undescribed(at string, s *openapi3.Schema, v any) []string {
	var out []string
	switch v := v.(type) {
	case []any:
		items := itemsOf(s)
		for i, e := range v {
			if items != nil {
				out = append(out, undescribed(fmt.Sprintf("%s/%d", at, i), items, e)...)
			}
		}
	case object:
		known := openapi3.Schemas{}
		collectProperties(s, known)
		open := len(known) == 0 || s.AdditionalProperties.Schema != nil || s.AdditionalProperties.Has != nil && *s.AdditionalProperties.Has
		for name, e := range v {
			p, ok := known[name]
			switch {
			case ok:
				out = append(out, undescribed(at+"/"+name, p.Value, e)...)
			case !open:
				out = append(out, fmt.Sprintf("%s/%s: property is not described", at, name))
			}
		}
		slices.Sort(out)
	}
	return out
}

func collectProperties(s *openapi3.Schema, into openapi3.Schemas) {
	for _, alternatives := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
		for _, a := range alternatives {
			collectProperties(a.Value, into)
		}
	}
	for name, p := range s.Properties { // the outer one last: it says more
		into[name] = p
	}
}

func itemsOf(s *openapi3.Schema) *openapi3.Schema {
	if s.Items != nil {
		return s.Items.Value
	}
	for _, alternatives := range []openapi3.SchemaRefs{s.AllOf, s.AnyOf, s.OneOf} {
		for _, a := range alternatives {
			if items := itemsOf(a.Value); items != nil {
				return items
			}
		}
	}
	return nil
}
