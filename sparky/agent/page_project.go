package agent

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// projectPage is the page of a project.
type projectPage struct {
	*projectFolder        // nil: jobs that programs have queued
	Folder         bool   // it is not nil
	Name           string // of the project
	Problem        string // why its folder cannot be used
	Dir            string
	NextRun        time.Time
	Trouble        string // with the repository that it watches
	Group          string // chosen; "": none
	Fields         []variable
	Choose         bool // a group must be chosen first
	Builds         *buildList
}

func (a *Agent) getProject(w http.ResponseWriter, r *http.Request, n names) {
	list, err := a.builds(r, ` AND project = ?`, n.project)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	p := projectPage{Name: n.project, Builds: list, Dir: a.projectPath(n.project)}
	list.Path = "/project/" + n.project + "/builds"
	folder, err := a.readFolder(n.project)
	switch {
	case err == nil:
		p.projectFolder, p.Folder = folder, true
		if folder.Crontab != "" && !folder.Disabled {
			p.NextRun = nextCron(folder.Crontab, time.Now())
		}
		if text, ok := a.trouble.Load(n.project); ok && folder.SCM != nil {
			p.Trouble, _ = text.(string) // it is one
		}
		if g := r.URL.Query().Get("group"); slices.Contains(folder.Groups, g) {
			p.Group = g
		}
		p.Choose = len(folder.Groups) > 0 && p.Group == ""
		p.Fields = folder.varsOf(p.Group)
	case errors.Is(err, errNoProject):
		if len(list.Rows) == 0 {
			a.missing(w, r, "No such project", "There is neither a folder "+p.Dir+" with a sparrowfile nor a build of project "+n.project+".")
			return
		}
	default:
		p.Problem = err.Error()
	}
	a.render(w, r, http.StatusOK, "project", frame{Title: n.project, Section: "projects", Page: p})
}

func (a *Agent) getProjectBuilds(w http.ResponseWriter, r *http.Request, n names) {
	list, err := a.builds(r, ` AND project = ?`, n.project)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.render(w, r, http.StatusOK, "builds", frame{Title: "Builds of " + n.project, Section: "builds", Page: list})
}

// getBuildForm is where a Sparky has the form that our page of a project has.
func (a *Agent) getBuildForm(w http.ResponseWriter, r *http.Request, n names) {
	to := "/project/" + n.project
	if g := r.URL.Query().Get("group"); g != "" {
		to += "?" + url.Values{"group": {g}}.Encode()
	}
	redirect(w, to)
}
