// Package flow holds what cromt is about: the jobs.yaml file, the plan that
// it becomes, and the run that carries the plan out.
//
// [Parse] turns a file into a [File] or an [ErrorList] of everything that is
// wrong with it. [NewPlan] turns a File into a [Plan]: invocations of
// projects, joined by their before and after edges, and the jobs of each. An
// [Engine] runs a Plan with an [Executor], which knows how a host is reached,
// and tells one or more [Reporter]s what happens. The package knows nothing
// of HTTP, of Sparky or of GitHub.
package flow
