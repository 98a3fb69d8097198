// Package sparkytest holds what tests of Sparky hosts share: a conformance
// suite for a host ([Run]), a scripted peer with the manners of a real Sparky
// ([Fake]), faults to put before any host ([WithFaults]), a network inside the
// process ([Serve]), on which time can be virtual, and a server of private
// repositories ([GitServer]).
package sparkytest
