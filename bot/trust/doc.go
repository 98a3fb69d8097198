// Package trust decides who may run what, where: which host a URL of a
// jobs.yaml selects, what a host may be given, which commands and buttons a
// role may use, and when a fork's commit is approved. It decides on facts that
// it is given, asks nobody, and says why in words for the one who asked.
//
// Where a fact is missing it decides as if it were the worse one.
package trust
