// Package action is what is special about running in a step of a GitHub
// workflow: inputs from the environment, the event that started the workflow
// and what may run because of it, the log with its groups, annotations,
// outputs.
package action
