package gitrepo

import "time"

// The limits of this package, each with its reason.
const (
	// remoteTimeout of a command that goes over the network.
	remoteTimeout = 30 * time.Second
	// localTimeout of a command that does not: a large index takes seconds.
	localTimeout = 20 * time.Second
	// fetchTimeout of a commit with all its files, or of packing them: large
	// repositories take minutes.
	fetchTimeout = 10 * time.Minute
	// maxLink is the length of a symbolic link's target: PATH_MAX of Linux.
	maxLink = 4096
	// maxOutput of a command, in bytes: ls-remote of a repository with a
	// million refs has 70 MB.
	maxOutput = 128 << 20
	// maxTree is the size of a working tree to pack, in bytes: each host is
	// sent all of it.
	maxTree = 2 << 30
	// maxFolder and maxFolderFiles bound a folder that is in no repository:
	// without an ignore list it may be somebody's home.
	maxFolder      = 64 << 20
	maxFolderFiles = 10_000
)
