// Package tomtit runs Tomtit scenarios: with the host's own tom where it has
// one, else with a built-in runner that needs no Raku.
//
// # What the built-in runner runs
//
// .tom/NAME.bash, which only it knows, is run by bash in the checkout's folder
// and prints as it likes. .tom/NAME.raku may have, after an optional #!raku:
//
//	# comment, =begin x … =end x    use v6; use Sparrow6::DSL;
//	task-run "dir", %( k => v )     Sparrow task of a folder; "dir@inner" too
//	bash "…", %( … )                with cwd, envvars, description, debug
//	directory "x"                   makes it
//	say …, …                        as Raku prints values
//	my $x = …;  my @l = …;          also my %h = …, and = task-run … for its state
//	'…' "…$x…{…}…"                  strings, with $x, $x<k>, %*ENV<N>, {expression}
//	1 0x10 1.5 1e3 True False Nil   <a b>  (1, 2)  [1, 2]
//	%( k => v, :k<v>, :!k, :$x )    { … } as well, nested, |%h
//	%*ENV<N>  config<k>  config()<a><b>  tags()<k>  $l[0]
//	a ~ b   a // b   a || b   a ?? b !! c
//
// Settings for config are read from .tom/env/config.raku or, with --env=X or an
// X in .tom/env/current, config.X.raku: one hash of the same kind, over that of
// config.any.raku. As in Raku, text of the environment
// that looks like a number is one in a task's config: 007 there is 7.
//
// A task's folder has task.pl, task.bash, task.rb or task.py, the first of
// them counts, and may have a hook (or job) of the same kinds, common.bash,
// config.raku or config.yaml with defaults, task.check, which is done on its
// output, and tasks/NAME for the hook's run_task. Helpers: config,
// task_var, set_stdout, run_task, ignore_error, update_state and the folders
// root_dir, task_dir, cache_root_dir, cache_dir.
//
// # What it refuses
//
// Everything else, before the first task; README.md has the table, as limits
// has in the code. The error names file, line, column and construct, and says
// that Raku and Tomtit are needed on the host, or what to write instead.
//
// Values of the environment and of the configuration never become part of a
// shell's program: tasks read them from files.
package tomtit
