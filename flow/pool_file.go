package flow

// Pool is a group of hosts on which jobs are placed while a run goes on.
type Pool struct {
	Name     string
	Pos      Pos // of the name
	Hosts    []PoolHost
	Register bool // hosts that announce themselves are in it, too
}

// PoolHost is one host of a pool.
type PoolHost struct {
	Pos    Pos
	URL    string // without trailing slash
	Slots  int    // jobs that it may have at once; 1 when absent
	Labels []string
}

// Fits reports whether the host has all the labels.
func (h *PoolHost) Fits(labels []string) bool { return hasLabels(h.Labels, labels) }

// PoolUse says on which hosts of a pool the jobs of a project run. Without a
// Name they run on no pool.
type PoolUse struct {
	Name       Text
	Labels     []string // a host must have them all
	LabelsPos  Pos
	Workers    int // copies of the job; 0 when absent, which is 1
	WorkersPos Pos
}

// Count returns how many copies of the job run.
func (u *PoolUse) Count() int { return max(1, u.Workers) }

// Matrix says for which combinations of variables a project runs.
type Matrix struct {
	Pos     Pos // of the key
	Axes    []Axis
	Include [][]Var
	Exclude [][]Var
}

// Axis is one variable of a matrix with its values.
type Axis struct {
	Name   string
	Pos    Pos
	Values []string
}
