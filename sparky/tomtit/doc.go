// Package tomtit runs Tomtit scenarios: with the host's own tom where it has
// one, else with a built-in runner for what most projects use.
//
// The built-in runner knows two kinds of scenarios. .tom/NAME.bash is run by
// bash as it is. .tom/NAME.raku is read in a subset of Raku:
//
//	# comments, #`( … ), =begin … =end, use v6;
//	task-run "dir";            task-run "dir", %( key => value, … );
//	task-run "dir@tasks/inner";
//	bash "command";            bash "command", %( cwd => …, envvars => %( … ), description => … );
//	directory "dir";           say value, …;
//	my $x = value;             my %h = value;   my @l = value;
//
// A value is a string ('…', or "…" with $x, %*ENV<NAME>, config<a>, tags()<a>
// and {value} in it), a number, True or False, %( … ), { … }, ( … ), [ … ],
// $x, %*ENV<NAME>, config<a><b>, config()<a>, tags()<a>, values joined by ~,
// and a // b. Pairs are key => value, :key(value), :key<word>, :key, :!key.
// .tom/env/config.raku and .tom/env/config.NAME.raku hold one value.
//
// A task is a directory with task.bash, task.py, task.pl or task.rb, and may
// have config.yaml, common.bash and hook.bash. Everything else is refused
// before the first task runs, by file, line and construct: such a project
// needs Raku and Tomtit on the host. Of tasks that is task.raku, task.check,
// task.php, task.ps1, task.go, hooks in other languages than Bash, and plugins
// other than bash and directory.
package tomtit
