package githubtest

import (
	_ "embed" // for the description
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

//go:embed github-api.json
var descriptionJSON []byte

// description is GitHub's API as GitHub describes it, with its routes.
type description struct {
	doc    *openapi3.T
	routes []route // the most specific first
}

// route is one path of the description.
type route struct {
	path     string
	segments []segment
	item     *openapi3.PathItem
}

// segment is a part of a path between slashes: a literal or a parameter.
type segment struct {
	literal string
	param   string
	multi   bool // the parameter's value may hold slashes
}

// loadDescription reads the description once for all servers of a process; it
// is never changed after that.
var loadDescription = sync.OnceValues(func() (*description, error) {
	doc, err := openapi3.NewLoader().LoadFromData(descriptionJSON)
	if err != nil {
		return nil, fmt.Errorf("github-api.json read: %w", err)
	}
	correct(doc)
	d := &description{doc: doc}
	for path, item := range doc.Paths.Map() {
		d.routes = append(d.routes, newRoute(path, item))
	}
	slices.SortFunc(d.routes, func(a, b route) int {
		return slices.CompareFunc(a.segments, b.segments, bySpecificity)
	})
	// A path that continues where another one ends is the more specific one
	// where the last parameter of the other may hold slashes.
	slices.Reverse(d.routes)
	return d, nil
})

// correct changes the description in the two points where it does not say what
// GitHub does.
func correct(doc *openapi3.T) {
	// The head repository of a pull request is null once the fork is deleted.
	for _, name := range []string{"pull-request", "pull-request-simple"} {
		head := doc.Components.Schemas[name].Value.Properties["head"].Value
		repo := *head.Properties["repo"].Value
		repo.Nullable = true
		head.Properties["repo"] = openapi3.NewSchemaRef("", &repo)
	}
	// An installation in a list is the same as one alone; here it would have to
	// be a user's and an enterprise's at once.
	list := doc.Paths.Find("/app/installations").Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json")
	list.Schema.Value.Items = doc.Components.Schemas["installation"]
}

func newRoute(path string, item *openapi3.PathItem) route {
	multi := map[string]bool{}
	for _, op := range item.Operations() {
		for _, p := range op.Parameters {
			if p.Value.In == openapi3.ParameterInPath && p.Value.Extensions["x-multi-segment"] == true {
				multi[p.Value.Name] = true
			}
		}
	}
	r := route{path: path, item: item}
	for s := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			r.segments = append(r.segments, segment{param: name, multi: multi[name]})
			continue
		}
		r.segments = append(r.segments, segment{literal: s})
	}
	return r
}

// bySpecificity orders literals after parameters after parameters with slashes.
func bySpecificity(a, b segment) int {
	rank := func(s segment) int {
		switch {
		case s.multi:
			return 0
		case s.param != "":
			return 1
		}
		return 2
	}
	if c := rank(a) - rank(b); c != 0 {
		return c
	}
	return strings.Compare(a.literal, b.literal)
}

// find returns the operation that a method and an escaped path mean, with the
// path's parameters. Nil: the description has none.
func (d *description) find(method, escapedPath string) (*routers.Route, map[string]string) {
	parts := strings.Split(strings.Trim(escapedPath, "/"), "/")
	for i, p := range parts {
		if plain, err := url.PathUnescape(p); err == nil {
			parts[i] = plain
		}
	}
	for _, r := range d.routes {
		op := r.item.GetOperation(method)
		if op == nil {
			continue
		}
		params := map[string]string{}
		if match(r.segments, parts, params) {
			return &routers.Route{Spec: d.doc, Path: r.path, PathItem: r.item, Method: method, Operation: op}, params
		}
	}
	return nil, nil
}

// match fills params with what the parameters of segments are in parts.
func match(segments []segment, parts []string, params map[string]string) bool {
	if len(parts) == 0 && len(segments) == 1 && segments[0].param == "path" {
		params["path"] = "/" // the repository's root, which GitHub takes without a path
		return true
	}
	if len(segments) == 0 || len(parts) == 0 {
		return len(segments) == len(parts)
	}
	s := segments[0]
	if s.param == "" {
		return s.literal == parts[0] && match(segments[1:], parts[1:], params)
	}
	most := 1
	if s.multi {
		most = len(parts)
	}
	for n := most; n > 0; n-- {
		if parts[0] != "" && match(segments[1:], parts[n:], params) {
			params[s.param] = strings.Join(parts[:n], "/")
			return true
		}
	}
	return false
}

// schema is a named schema of the description. It panics for unknown names,
// which are mistakes of this package.
func (d *description) schema(name string) *openapi3.Schema {
	return d.doc.Components.Schemas[name].Value
}

// isWrite reports whether a method changes something.
func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
