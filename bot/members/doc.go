// Package members keeps the hosts that announce themselves to the App.
//
// A host joins a pool once, POST /agents/join, with a token of that pool: it
// has made a credential of its own before, and sends its SHA-256 sum. From then
// on that credential proves who it is, and the token is of no more use to it,
// nor, if it is a one-time token, to whoever finds it. Then it connects, GET
// /agents/connect, see package tunnel, and is called through that connection.
//
// There are two kinds of tokens. A one-time token is made by cromt token: it is
// signed with the pool's key, which the configuration and whoever makes tokens
// have, and is noted in the database when it is used. A token that is used
// again and again, for hosts that a cloud makes and removes, is known to the
// App by its SHA-256 sum alone.
//
// Every replica has connections of its own, and places jobs on those hosts
// only. The database knows which replicas there are, and who is connected to
// which. A host whose connection ends gets no more jobs at once, and is taken
// out of its pool when it has not come back after Grace.
package members
