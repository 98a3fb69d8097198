package trust

// Role is what a user may do in a repository.
type Role string

// The roles, least first.
const (
	RoleNone  Role = "none"
	RoleRead  Role = "read"
	RoleWrite Role = "write"
	RoleAdmin Role = "admin"
)

// RoleOf turns the answer of GitHub's collaborators API into a Role. Its
// permission counts maintain as write and triage as read; role, its
// role_name, says so in other words, and is asked only when there is no
// permission. Anything else, the names of custom roles included, is RoleNone.
func RoleOf(permission, role string) Role {
	if permission == "" {
		permission = role
	}
	switch permission {
	case "admin":
		return RoleAdmin
	case "write", "maintain":
		return RoleWrite
	case "read", "triage":
		return RoleRead
	}
	return RoleNone
}

// canWrite says whether commands and buttons of the role count.
func (r Role) canWrite() bool { return r == RoleWrite || r == RoleAdmin }

// Decision is whether something is allowed. Why and Hint are for the one who
// asked: Why says why not, "" when it is allowed; Hint what to do, perhaps "".
// Both are without any text of strangers.
type Decision struct {
	Allowed bool
	Why     string
	Hint    string
}

func yes() Decision { return Decision{Allowed: true} }

func no(why, hint string) Decision { return Decision{Why: why, Hint: hint} }
