package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/comment"
	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trust"
)

// asked is a comment with commands while it is worked. All that they change is
// one transaction, and may be done again; then GitHub is told.
type asked struct {
	*Intake
	ev      *event.Event
	log     *slog.Logger
	repo    *githubapp.Repo
	pull    checks.Pull
	seen    time.Time // when GitHub said what pull is
	role    trust.Role
	subject trust.Subject
	config  []byte // nil: not read yet
	room    int    // bytes for one answer

	effects []func(ctx context.Context, tx *store.Tx) error
	answers []func(ctx context.Context) (string, error) // asked for after the effects
	wrong   []comment.Error
	started bool // something went on at once
}

// comment works a comment on a pull request.
func (i *Intake) comment(ctx context.Context, delivery int64, ev *event.Event, log *slog.Logger) error {
	log = log.With("comment", ev.Comment.ID, "sender", ev.Sender.Login)
	if why := trust.Ignore(ev, i.GitHub.ID()); why != "" {
		log.Debug("comment ignored", "why", why)
		return i.processed(ctx, delivery)
	}
	commands, problems := comment.Parse(ev.Comment.Body)
	if len(commands)+len(problems) == 0 {
		return i.processed(ctx, delivery)
	}
	ok, first := i.pace.take(strconv.FormatInt(ev.Sender.ID, 10), time.Now())
	if !ok {
		log.Warn("too many comments with commands by one user")
		if !first {
			return i.processed(ctx, delivery)
		}
		commands, problems = nil, []comment.Error{{
			Msg:  fmt.Sprintf("more than %d comments with commands within %.0f minutes", maxPace, paceTime.Minutes()),
			Hint: "this one is not done, nor are the next ones for a while",
		}}
	}
	a := &asked{
		Intake: i, ev: ev, log: log, repo: i.GitHub.Repo(ev.Installation, ev.Repo.FullName), seen: time.Now(),
		wrong: problems, room: (checks.MaxComment - replyHead) / max(len(commands), 1),
	}
	if err := a.look(ctx); err != nil {
		return err
	}
	if len(commands) > 0 && trust.Command("help", a.role, a.subject, ev.Comment.CreatedAt).Allowed {
		react(ctx, a.repo, ev.Comment.ID, reactAccepted, log.Warn)
	}
	for _, c := range commands {
		if err := a.command(ctx, c); err != nil {
			return err
		}
	}
	err := i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, f := range a.effects {
			if err := f(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.tell(ctx); err != nil {
		return err
	}
	return i.processed(ctx, delivery)
}

// look asks GitHub what the pull request and its author's role are now.
func (a *asked) look(ctx context.Context) (err error) {
	repo := a.ev.Repo.FullName
	if a.pull, err = a.repo.Checks().PullRequest(ctx, repo, a.ev.Comment.IssueNumber); err != nil {
		return err
	}
	if a.role, err = a.roleOf(ctx, a.repo, repo, a.ev.Comment.Author.Login); err != nil {
		return err
	}
	a.subject, err = a.subjectOf(ctx, repo, a.pull)
	return err
}

// command decides about one command.
func (a *asked) command(ctx context.Context, c comment.Command) error {
	if d := trust.Command(c.Verb, a.role, a.subject, a.ev.Comment.CreatedAt); !d.Allowed {
		a.refuse(c, d)
		return nil
	}
	switch c.Verb {
	case "run":
		return a.run(ctx, c)
	case "retry":
		return a.retry(ctx, c)
	case "cancel":
		return a.cancel(ctx, c)
	case "ok":
		a.ok(c)
	case "plan":
		a.answer(c, a.showPlan)
	case "status":
		a.answer(c, a.showStatus)
	case "why":
		a.answer(c, a.showWhy)
	case "logs":
		a.answer(c, a.showLogs)
	case "help":
		a.answer(c, func(context.Context, comment.Command) (string, error) { return comment.Help() + howAnswered, nil })
	}
	return nil
}

// howAnswered is for people.
const howAnswered = `
All need write permission. 👀 says that a command was understood, 🚀 that what it asked for has begun, 😕 that it was not done. What there is to say in words is in this one comment, which shows the last answer; how runs go is in the checks.
`

// fail notes what is wrong with a command.
func (a *asked) fail(c comment.Command, msg, hint string) {
	a.wrong = append(a.wrong, comment.Error{Line: c.Line, Msg: msg, Hint: hint})
}

// refuse notes why a command is not done. Of several that are refused for the
// same reason one is told of.
func (a *asked) refuse(c comment.Command, d trust.Decision) {
	if !slices.ContainsFunc(a.wrong, func(e comment.Error) bool { return e.Msg == d.Why }) {
		a.fail(c, d.Why, d.Hint)
	}
	a.log.Info("command refused", "verb", c.Verb, "line", c.Line, "why", d.Why)
}

// answer has a command answered in the reply. What is wrong with the command
// is a problem that show returns.
func (a *asked) answer(c comment.Command, show func(context.Context, comment.Command) (string, error)) {
	a.answers = append(a.answers, func(ctx context.Context) (string, error) {
		text, err := show(ctx, c)
		var p problem
		if errors.As(err, &p) {
			a.fail(c, p.msg, p.hint)
			return "", nil
		}
		if err != nil || text == "" {
			return "", err
		}
		return "#### " + checks.Code(c.Text) + "\n\n" + text, nil
	})
}

// problem is an error that is told to the one who asked.
type problem struct{ msg, hint string }

func (p problem) Error() string { return p.msg }

// errOvertaken is why what was decided about a fork's head is not done.
var errOvertaken = problem{"another commit was pushed meanwhile", "look at it, and approve that one"}

// tell shows what was decided: a reaction, and what has to be said in words in
// one reply, which the next one replaces.
func (a *asked) tell(ctx context.Context) error {
	if a.started {
		react(ctx, a.repo, a.ev.Comment.ID, reactStarted, a.log.Warn)
	}
	var parts []string
	for _, f := range a.answers {
		text, err := f(ctx)
		if err != nil {
			return err
		}
		if text != "" {
			parts = append(parts, text)
		}
	}
	if len(a.wrong) > 0 {
		react(ctx, a.repo, a.ev.Comment.ID, reactRefused, a.log.Warn)
		parts = slices.Insert(parts, 0, problems(a.wrong))
	}
	if len(parts) == 0 {
		return nil
	}
	head := "In answer to " + checks.Link("this comment", a.ev.Comment.HTMLURL) + " by " + checks.Code(a.ev.Comment.Author.Login) + ":\n\n"
	return a.reply(ctx, a.repo, a.pull.Number, head+strings.Join(parts, "\n\n"), a.log)
}

// problems lists what is wrong.
func problems(list []comment.Error) string {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b comment.Error) int { return a.Line - b.Line })
	var b strings.Builder
	for _, e := range list {
		b.WriteString("- ")
		if e.Line > 0 {
			fmt.Fprintf(&b, "Line %d: ", e.Line)
		}
		b.WriteString("😕 " + checks.Text(e.Msg))
		if e.Hint != "" {
			b.WriteString("; " + checks.Text(e.Hint))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// replyMarker is how our reply on a pull request is found again.
const replyMarker = "<!-- cromt: reply -->"

// reply says something on a pull request: all that this App ever says there in
// words is one comment, which shows its last answer. A GitHub that refuses it
// for good is not asked again.
func (i *Intake) reply(ctx context.Context, repo *githubapp.Repo, pull int, text string, log *slog.Logger) error {
	one := &i.replies[pull%len(i.replies)] // two at once would both find none, and make two
	one.Lock()
	defer one.Unlock()
	ctx, cancel := context.WithTimeout(ctx, replyTime)
	defer cancel()
	_, err := repo.Reply(ctx, pull, replyMarker, text)
	if err != nil && checks.Refused(err) {
		log.Warn("no reply", "pull", pull, "error", err)
		return nil
	}
	return err
}
