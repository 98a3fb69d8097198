package event

type wireApp struct {
	ID int64 `json:"id"`
}

// app takes the id of an App that may not be there.
func (c *checker) app(field string, w *wireApp) int64 {
	if w == nil {
		return 0
	}
	return number(c, field+".id", w.ID)
}

func (e *Event) readCheckRun(c *checker, payload []byte) {
	var w struct {
		common
		CheckRun *struct {
			ID         int64    `json:"id"`
			Name       string   `json:"name"`
			ExternalID string   `json:"external_id"`
			HeadSHA    string   `json:"head_sha"`
			Status     string   `json:"status"`
			Conclusion string   `json:"conclusion"`
			App        *wireApp `json:"app"`
			CheckSuite *struct {
				ID int64 `json:"id"`
			} `json:"check_suite"`
			PullRequests []struct {
				Number int `json:"number"`
			} `json:"pull_requests"`
		} `json:"check_run"`
		RequestedAction struct {
			Identifier string `json:"identifier"`
		} `json:"requested_action"`
		Deployment *struct{} `json:"deployment"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindCheckRun, w.common)
	c.foreign("deployment", w.Deployment != nil)
	if c.need("check_run", w.CheckRun != nil); c.err != nil {
		return
	}
	run := w.CheckRun
	e.CheckRun = &CheckRun{
		ID:              number(c, "check_run.id", run.ID),
		Name:            cut(run.Name, MaxTitle),
		ExternalID:      c.line("check_run.external_id", run.ExternalID, MaxIdentifier),
		HeadSHA:         c.sha("check_run.head_sha", run.HeadSHA),
		AppID:           c.app("check_run.app", run.App),
		Status:          c.line("check_run.status", run.Status, MaxName),
		Conclusion:      c.line("check_run.conclusion", run.Conclusion, MaxName),
		RequestedAction: c.line("requested_action.identifier", w.RequestedAction.Identifier, MaxIdentifier),
	}
	c.need("check_run.status", run.Status != "")
	c.need("requested_action.identifier", e.Action != "requested_action" || e.CheckRun.RequestedAction != "")
	if run.CheckSuite != nil {
		e.CheckRun.SuiteID = number(c, "check_run.check_suite.id", run.CheckSuite.ID)
	}
	for _, pull := range run.PullRequests[:min(len(run.PullRequests), MaxPulls)] {
		e.CheckRun.Pulls = append(e.CheckRun.Pulls, number(c, "check_run.pull_requests.number", pull.Number))
	}
}

func (e *Event) readCheckSuite(c *checker, payload []byte) {
	var w struct {
		common
		CheckSuite *struct {
			ID         int64    `json:"id"`
			HeadSHA    string   `json:"head_sha"`
			HeadBranch string   `json:"head_branch"`
			App        *wireApp `json:"app"`
		} `json:"check_suite"`
	}
	if !c.decode(payload, &w) {
		return
	}
	e.start(c, KindCheckSuite, w.common)
	if c.need("check_suite", w.CheckSuite != nil); c.err != nil {
		return
	}
	e.CheckSuite = &CheckSuite{
		ID:         number(c, "check_suite.id", w.CheckSuite.ID),
		HeadSHA:    c.sha("check_suite.head_sha", w.CheckSuite.HeadSHA),
		HeadBranch: c.optionalRef("check_suite.head_branch", w.CheckSuite.HeadBranch),
		AppID:      c.app("check_suite.app", w.CheckSuite.App),
	}
}
