# Helpers of a Sparrow task in Perl, loaded with -Msparrow6lib.
package sparrow6lib;
use strict;

my $here = __FILE__;
$here =~ s{/[^/]*\z}{};

sub read_file {
    my ($path) = @_;
    open(my $fh, '<:raw', $path) or die "open $path: $!";
    local $/;
    return scalar <$fh>;
}

sub write_file {
    my ($mode, $path, $data) = @_;
    open(my $fh, $mode, $path) or die "open $path: $!";
    print {$fh} $data;
    close($fh) or die "write $path: $!";
}

sub json { require JSON::PP; return JSON::PP->new->allow_nonref }

my @glue = split /\0/, read_file("$here/vars"), -1;
pop @glue;    # what follows the last NUL
my %glue = @glue;
my ($config, $variables);

package main;

sub root_dir         { $glue{root_dir} }
sub project_root_dir { $glue{root_dir} }
sub task_dir         { $glue{task_dir} }
sub cache_root_dir   { $glue{cache_root_dir} }
sub test_root_dir    { $glue{cache_root_dir} }
sub cache_dir        { $glue{cache_dir} }
sub stdout_file      { $glue{stdout_file} }
sub os               { $glue{os} }

sub config {
    return $config ||= sparrow6lib::json()->decode(sparrow6lib::read_file(cache_root_dir() . '/config.json'));
}

sub variables {
    return $variables ||= sparrow6lib::json()->decode(sparrow6lib::read_file(cache_dir() . '/variables.json')) || {};
}

sub task_var { my ($name) = @_; return variables()->{$name} }

sub set_stdout { my ($line) = @_; sparrow6lib::write_file('>>', stdout_file(), "$line\n") }

sub run_task {
    my ($task, $vars) = @_;
    my $json = sparrow6lib::json()->encode($vars || {});
    sparrow6lib::write_file('>>:raw', cache_dir() . '/calls', "runjson\0$task\0$json\0");
}

sub ignore_error { sparrow6lib::write_file('>>:raw', cache_dir() . '/calls', "ignore\0") }

sub ignore_task_error { ignore_error() }

sub ignore_task_check_error { sparrow6lib::write_file('>>:raw', cache_dir() . '/calls', "soft\0") }

sub get_state {
    return {} unless -e cache_root_dir() . '/state.json';
    return sparrow6lib::json()->decode(sparrow6lib::read_file(cache_root_dir() . '/state.json'));
}

sub update_state {
    my ($state) = @_;
    sparrow6lib::write_file('>', cache_root_dir() . '/state.json', sparrow6lib::json()->encode($state));
    return;
}

1;
