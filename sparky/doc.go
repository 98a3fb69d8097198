// Package sparky speaks the HTTP protocol of Sparky hosts: what goes over the
// wire, a client, and the [Executor] that runs a flow's attempts on hosts.
//
// A job is data: its sparrowdo-config is a [Spec], which cromt's own agent
// executes directly. To a real Sparky host it is sent together with its
// sparrowfile, a self-contained Raku program, the same for every job, which
// reads that data through config().
//
// # What is certain
//
// A job has an id of its own for every attempt, chosen before it is sent. When
// the answer to the request that sends it is in doubt, the host is asked
// whether it knows the id before anything is sent again, so that no attempt
// runs twice. Only a host that denies it lets the attempt count as not
// started; one that stays silent makes it lost. A real Sparky runs a job-id
// again that is posted again after its end, and has to deny it twice.
package sparky
