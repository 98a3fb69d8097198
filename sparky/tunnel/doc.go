// Package tunnel lets a host without an address of its own be called: it
// dials the orchestrator, and is then called through that connection.
//
// The agent asks
//
//	GET /agents/connect HTTP/1.1
//	Connection: Upgrade
//	Upgrade: cromt-agent/1
//	Authorization: Bearer CREDENTIAL
//	Cromt-Pool: builders          Cromt-Name: vm-7
//	Cromt-Labels: linux,arm64     Cromt-Slots: 4
//	Cromt-Version: 1.2.3          Cromt-Instance: random, of this process
//	Cromt-Connected: replicas that it is connected to
//
// and is answered 101 Switching Protocols; from then on both speak HTTP/2 on
// the connection with their parts exchanged: the agent answers, the
// orchestrator asks. So long polls and large files go side by side, each with
// a flow of its own.
//
// Every answer has Cromt-Replica, who it is that answers, and Cromt-Replicas,
// who else there is: an agent dials until it has met all of them, through
// whatever spreads connections over them. One that is connected to the agent
// already answers 204 instead of 101.
//
// The orchestrator asks GET /-/state again and again, with Cromt-Replicas, and
// is answered when the agent's state has changed, or after stateWait. That is
// the heartbeat: a side that has not heard the other for DeadAfter closes the
// connection. An agent dials again, later each time, up to maxBackoff.
//
// The package needs nothing but the standard library, and knows nothing of
// jobs. Whom to let in is for the caller of [Accept] to say.
package tunnel
