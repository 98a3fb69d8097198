// Package sparky speaks the HTTP protocol of Sparky hosts: what goes over the
// wire, a client, and the [Executor] that runs a flow's attempts on hosts.
//
// A job is sent in two forms at once. Its sparrowfile is a self-contained
// Raku program, the same for every job, that a real Sparky host runs; its
// sparrowdo-config holds all that varies, as a [Spec], which that program
// reads through config() and which cromt's own agent executes directly. A
// host that says that it is our agent gets the second form alone.
package sparky
