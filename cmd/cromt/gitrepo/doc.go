// Package gitrepo asks git: which repository is around a jobs.yaml, whether
// its commit can be had by others, which commit a branch stands for; and it
// packs a working tree for hosts. No git command asks a person anything.
package gitrepo
