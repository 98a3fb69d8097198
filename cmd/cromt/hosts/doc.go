// Package hosts knows how the Sparky hosts of a run are reached: it joins the
// hosts file, or the same as text, with the tokens given on the command line
// and as secrets.
package hosts
