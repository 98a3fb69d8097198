package web_test

import (
	"testing"
)

func TestProbe(t *testing.T) {
	s := newSite(t, false)
	c := s.failed()
	t.Log(text(t, s.page("/")))
	t.Log(text(t, s.page("/runs/"+c.run.ID)))
	t.Log(s.page("/runs/" + c.run.ID + "/jobs/test@hostB"))
	t.Log(text(t, s.page("/hosts")))
	t.Log(text(t, s.page("/repos/octo/app/flaky")))
}
