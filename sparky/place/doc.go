// Package place runs scenarios where they are not reached by this process's
// own system calls: in a Docker container, or on another machine by ssh.
//
// What is needed there is a shell, cat and chmod, and what the scenario itself
// needs. This program copies itself into a folder of its own there, a room, and
// talks to that copy over the standard streams of docker exec or ssh: a line of
// JSON says what to do, the rest of standard input belongs to it, standard
// output has what the scenario prints or the file that was asked for, and the
// last line of standard error how it ended.
//
// Standard input stays open while a scenario runs. When it ends, because the
// job is cancelled, or this process or the connection is gone, the copy ends
// the scenario as a tree and removes the room. So nothing is left behind that
// nobody watches, whatever dies first.
package place
