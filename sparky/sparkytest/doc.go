// Package sparkytest holds what tests of Sparky hosts share: a conformance
// suite for a host ([Run]), a scripted peer with the manners of a real Sparky
// ([Fake]), faults to put before any host ([WithFaults]), a network inside the
// process ([Serve]), on which time can be virtual, and a server of private
// repositories ([GitServer]).
//
// # Conformance
//
// The suite ([Run]) covers every route and body that a client of a Sparky
// relies on. It runs against our agent in CI: open, with a token, and with a
// token, users and TLS. It runs against another host when SPARKY_URL names
// one, on which it leaves some small builds:
//
//	SPARKY_URL=http://sparky:4000 SPARKY_TOKEN=… go test ./sparky/sparkytest -run Conformance/sparky -v -timeout 30m
//
// With the variables, all but the first optional:
//
//	SPARKY_URL           the host, http or https; certificates are not verified
//	SPARKY_TOKEN         its token (SPARKY_API_TOKEN of a real Sparky)
//	SPARKY_LOGIN         who signs in, and
//	SPARKY_PASSWORD      the password; a real Sparky is tried with admin, admin
//	SPARKY_TEST_PROJECT  a project with a folder there, whose sparky.yaml says
//	                     allow_manual_run: true and whose sparrowfile succeeds;
//	                     it is started a few times
//	SPARKY_IS_CROMT      not empty: the host is our agent, and has its extensions
//	                     and its safety against hostile names too
package sparkytest
