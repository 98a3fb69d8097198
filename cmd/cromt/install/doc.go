// Package install puts the projects of a flow file on the Sparky of this
// machine, real or ours: a folder for each, whose sparrowfile runs cromt on a
// copy of the file, so that people find the project on the Sparky's pages and
// start it there, or its crontab does.
package install
