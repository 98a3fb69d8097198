package trust

import "github.com/cromt/cromt/bot/event"

// Ignore returns why a comment is not looked at for commands, "" when it is:
// only new ones on pull requests by people are. ownApp is the App's id; what
// it writes may quote a command, and must not start one.
func Ignore(e *event.Event, ownApp int64) string {
	c := e.Comment
	switch {
	case c == nil:
		return "it is no comment"
	case e.Action != "created" || c.Edited:
		return "it is not new"
	case !c.OnPull:
		return "it is not on a pull request"
	case c.Author.Bot || e.Sender.Bot:
		return "it is by a bot"
	case c.AppID != 0 && c.AppID == ownApp:
		return "it is by this App"
	case c.Author.Login == "" || c.Author.Login != e.Sender.Login:
		return "its author is not known"
	}
	return ""
}

// ConfigCommit returns the commit at which jobs.yaml is read for a run of
// head: of a fork it is that of the base branch, now, so that who is not
// trusted does not say what runs where.
func ConfigCommit(fork bool, head, base string) string {
	if fork {
		return base
	}
	return head
}
