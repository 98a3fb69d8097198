package sparky

// Sparrowfile is the program that a real Sparky host runs for every job.
var Sparrowfile = sparrowfile
