// Package hosts knows how the Sparky hosts of a run are reached: it joins the
// hosts file with the tokens given on the command line.
package hosts
