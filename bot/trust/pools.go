package trust

import "github.com/cromt/cromt/flow"

// Pools returns those of the pools, in the App's configuration, that a run of
// repo may use. fork says that the code is of a fork. It is never nil, since
// no pool is not the pools of the file.
func Pools(pools []flow.PoolEntry, repo string, fork bool) []*flow.Pool {
	may := []*flow.Pool{}
	for _, p := range pools {
		if mayUse(p.Repos, repo) && (!fork || p.Forks) {
			may = append(may, &p.Pool)
		}
	}
	return may
}
