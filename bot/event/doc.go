// Package event turns a payload of GitHub, the body of a webhook or the event
// file of a workflow, into what matters of it.
//
// [Parse] wants no more fields than it uses, so that payloads of older
// versions of GitHub are read too; of those that it uses it checks the type,
// the form and the length. A text that strangers write (titles, bodies, commit
// messages, labels, paths) is kept as it is, cut to the lengths in limits.go:
// escape it where it is shown, and never pass it to a shell.
package event
