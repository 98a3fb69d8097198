package tomtit

import "github.com/cromt/cromt/flow"

// op is the kind of an expression.
type op int

const (
	opText    op = iota // text: a string literal
	opValue             // value: a number, a word of <…>, True, False, Nil
	opVar               // text: a variable with its sigil
	opEnv               // %*ENV
	opConfig            // config()
	opTags              // tags()
	opKey               // kids[0]<kids[1]>
	opIndex             // kids[0][kids[1]]
	opJoin              // kids joined as text: ~ and "…"
	opDefined           // kids[0] // kids[1]
	opOr                // kids[0] || kids[1]
	opIf                // kids[0] ?? kids[1] !! kids[2]
	opList              // (kids)
	opArray             // [kids]
	opHash              // %(kids): pairs and hashes
	opPair              // kids[0] => kids[1]
)

// expr is an expression of the supported part of Raku.
type expr struct {
	op    op
	pos   flow.Pos
	text  string
	value any
	kids  []*expr
}

// stmt is a statement: call with args when call is set, and name, a variable
// with its sigil, assigned to when that is set.
type stmt struct {
	pos  flow.Pos
	name string
	call string // task-run, bash, directory, say
	args []*expr
}

// The calls that a scenario may make.
const (
	callTask      = "task-run"
	callBash      = "bash"
	callDirectory = "directory"
	callSay       = "say"
)

// scenario is a parsed .tom/<action>.raku.
type scenario struct {
	file  string
	stmts []stmt
}

// needsHost ends every refusal.
const needsHost = "needs Raku and Tomtit on the host"
