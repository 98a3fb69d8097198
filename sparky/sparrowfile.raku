#!raku
# A cromt job on a Sparky host. The text is the same for every job: all that
# varies is in sparrowdo-config, which config() returns. It needs git, bash,
# base64, curl and tom where it runs, which may be a container or a machine
# behind ssh; for a source archive tar as well; and no Sparrow plugin.
#
# It tells the orchestrator what happens in lines that begin "meta: cromt ",
# ends with the exit code of the step that failed, and stops when somebody
# puts { "cancel": true } into the job's own stash.

# A block, so that no name clashes with one that Sparrow6::DSL brings along.
{

my %spec     = config();
my %tag      = tags();

# The data stays on disk otherwise, where the host's API shows it to anyone:
# as Sparky wrote it, and as sparrowdo copied it.
unlink "$*CWD/config.raku", "{$*CWD.parent}/config.raku";

my $work     = "{$*CWD}/cromt-work";
my $checkout = "$work/src";
my $step     = 'begin';

# What ran before may have left its last line open. The orchestrator drops the
# empty line again.
sub meta(*@words) {
    say "\nmeta: cromt " ~ @words.join(' ');
    $*OUT.flush;
}

# Removes a folder and what is in it, as far as it may.
sub wipe(IO::Path $path) {
    if $path.d && !$path.l {
        try { $path.chmod: 0o700; .&wipe for $path.dir; }
        try $path.rmdir;
    }
    else { try $path.unlink }
}

# Sparky never cleans a job's directory, so the job does.
sub finish($result, $code) {
    wipe $work.IO if $work.IO.e;
    meta "result=$result", "step=$step", "exit=$code";
    exit $code;
}

# --- the host's own API -------------------------------------------------------

sub on($value) { $value.defined && $value.Str !~~ /^ [ '' | 0 | False | Any ] $/ }

my $worker = %tag<SPARKY_WORKER> // 'localhost';
my $scheme = on(%tag<SPARKY_USE_TLS>) ?? 'https' !! 'http';
my $port   = %tag<SPARKY_TCP_PORT> || 4000;
my $mine   = %tag<SPARKY_PROJECT> ~ '/' ~ %tag<SPARKY_JOB_ID>;

# Where the host may be: from a container by the name that Docker gives it, if
# it does; from there and from another machine by the orchestrator's URL of it.
my @hosts = do given $worker {
    when 'docker' { "$scheme://host.docker.internal:$port", |(%spec<api> // ()) }
    when 'host'   { |(%spec<api> // "$scheme://{%tag<SPARKY_HOST> || '127.0.0.1'}:$port") }
    default       { "$scheme://{%tag<SPARKY_HOST> || '127.0.0.1'}:$port" }
}
my $api = @hosts[0];

# curl reads its settings from stdin: arguments can be seen by every user of
# the machine. The certificate of this machine's own host is not checked.
sub api($path, *@args, :$secs = 20, :$auth = False) {
    my $p = run 'curl', '-q', '-K', '-', '--silent', '--show-error', '--fail', '--noproxy', '*',
        '--max-time', ~$secs, |('--insecure' if $api ne (%spec<api> // '') || %spec<insecure>), |@args, "$api$path", :in, :out;
    $p.in.say: "header = \"Token: %tag<SPARKY_API_TOKEN>\"" if $auth && %tag<SPARKY_API_TOKEN>;
    my $sent   = $p.in.close;    # a process that is sunk ends this program when it fails
    my $answer = $p.out.slurp;
    my $ended  = $p.out.close;
    $ended.exitcode == 0 ?? $answer !! Nil;
}

sub stash() { api "/stash/$mine", '--stderr', '/dev/null', secs => 5 }

sub cancel-asked() { (stash() // '') ~~ / '"cancel"' \s* ':' \s* true / }

# --- steps --------------------------------------------------------------------

# The report is a terminal: no pager, no prompt, no progress bar.
%*ENV<GIT_PAGER PAGER>      = 'cat', 'cat';
%*ENV<GIT_TERMINAL_PROMPT>  = '0';
%*ENV<GIT_ASKPASS>          = 'true';
%*ENV<GIT_SSH_COMMAND>    //= 'ssh -o BatchMode=yes -o ConnectTimeout=20';

# Keeps a command in a process group of its own, so that all of it can be ended,
# and ends with its exit code.
my $keeper = q:to/BASH/;
    exec 3>&1 2>/dev/null
    [ "$1" = show ] || exec 3>/dev/null
    set -m
    "${@:2}" </dev/null >&3 2>&3 3>&- &
    job=$!
    set +m
    exec 3>&-
    trap 'kill -s TERM -- -$job' TERM HUP INT
    trap 'kill -s KILL -- -$job' USR1
    while :; do wait $job; code=$?; kill -0 $job || break; done
    kill -s TERM -- -$job
    exit $code
    BASH

# Passes output on to the report, which Sparky does not give out any more once
# it has a byte that is not UTF-8. The start of a character is held back.
my $held = Buf.new;
sub sane(Blob $line) { (try $line.decode('utf8')).defined ?? $line !! $line.decode('utf8-c8').encode('utf8') }
sub pass(Blob $more, :$last = False) {
    my $bytes = $held ~ $more;
    my $keep  = 0;
    for 1 .. min(3, $bytes.elems) -> $n {
        my $byte = $bytes[* - $n];
        next if 0x80 <= $byte < 0xC0;
        $keep = $n if !$last && $byte >= 0xC0 && $n < ($byte >= 0xF0 ?? 4 !! $byte >= 0xE0 ?? 3 !! 2);
        last;
    }
    my $whole = $bytes.subbuf(0, $bytes.elems - $keep);
    $held = $bytes.subbuf($bytes.elems - $keep);
    without try $whole.decode('utf8') {
        my @lines = $whole.decode('latin-1').split("\n").map: { sane .encode('latin-1') };
        $whole = Buf.new;
        for @lines.kv -> $i, $line { $whole ~= Buf.new(0x0A) if $i; $whole ~= $line }
    }
    $*OUT.write: $whole;
    $*OUT.flush;
}

# Runs a command with nothing on stdin and its output going to the report.
# Returns its exit code, 124 when its time is over (secs, 0 for any), and ends
# the job when it is cancelled meanwhile.
sub attempt(*@cmd, :$cwd = $work, :%env = %*ENV, :$secs = 900, :$quiet = False) {
    my $p = Proc::Async.new: 'bash', '-c', $keeper, 'job', $quiet ?? 'quiet' !! 'show', |@cmd.map(~*);
    $p.stdout(:bin).tap: { pass $_ };
    my $done  = $p.start: :$cwd, :ENV(%env);
    # The kill of Proc::Async works once only (Rakudo 2022.12).
    my &tell  = { run('bash', '-c', 'kill -s "$1" "$2" 2>/dev/null', 'tell', $^signal, ~await $p.pid).so };
    my $end   = $secs ?? now + $secs !! Inf;
    my $cause = '';
    while $done.status ~~ Planned {
        await Promise.anyof: $done, Promise.in(max 0.1, min 3, $end - now);
        last unless $done.status ~~ Planned;
        if $cause {
            tell 'USR1' if now >= $end;    # TERM was not enough
        }
        elsif $cause = now >= $end ?? 'timeout' !! cancel-asked() ?? 'cancelled' !! '' {
            tell 'TERM';
            $end = now + 10;
        }
    }
    pass Buf.new, :last;
    my $code = try { my $r = await $done; $r.exitcode || ($r.signal ?? 128 + $r.signal !! 0) } // 127;
    finish 'cancelled', 130 if $cause eq 'cancelled';
    $cause ?? 124 !! $code;
}

# Starts a step of which the scenario depends.
sub begin($name) {
    $step = $name;
    meta "step=$name";
}

sub need(*@cmd, *%opt) {
    my $code = attempt |@cmd, |%opt;
    finish 'infrastructure', $code if $code;
}

sub broken($message) {
    note $message;
    finish 'infrastructure', 70;
}

my @git = 'git', '-c', 'core.hooksPath=/dev/null', '-c', 'protocol.ext.allow=never', '-c', 'advice.detachedHead=false';

# The environment of a git fetch: with the credential for exactly that URL,
# where there is one. Redirects fail then: git would repeat the header wherever
# they lead. It needs git 2.31.
sub git-env(%source) {
    my %env = %*ENV;
    return %env unless %source<auth>;
    my $key = 'http.' ~ %source<url>.subst(/^ 'https://' <-[/@]>* '@' /, 'https://');
    my $n   = (%env<GIT_CONFIG_COUNT> || 0).Int;
    # The empty header drops those that the machine's settings add.
    for "$key.extraHeader" => '', "$key.extraHeader" => "Authorization: Basic %source<auth>", "$key.followRedirects" => 'false' -> $setting {
        %env{"GIT_CONFIG_KEY_$n"}   = $setting.key;
        %env{"GIT_CONFIG_VALUE_$n"} = $setting.value;
        %env<GIT_CONFIG_COUNT>      = ~++$n;
    }
    %env;
}

sub clone(%source) {
    begin 'clone';
    my $want = %source<commit> || %source<ref> || 'HEAD';
    need |@git, 'init', '--quiet', '--', $checkout;
    my @in  = |@git, '-C', $checkout;
    my %env = git-env %source;
    if attempt(|@in, 'fetch', '--quiet', '--depth', '1', '--end-of-options', %source<url>, $want, :%env, :quiet) == 0 {
        need |@in, 'checkout', '--quiet', '--detach', 'FETCH_HEAD';
    }
    else {    # not every server gives out a commit by its name
        my $code = attempt |@in, 'fetch', '--quiet', '--end-of-options', %source<url>, '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*', :%env;
        note 'a clone token was sent; it may have expired, or not be for this repository, or the repository has moved' if $code && %source<auth>;
        finish 'infrastructure', $code if $code;
        begin 'checkout';
        need |@in, 'checkout', '--quiet', '--detach', $want;
    }
    my $head = run(|@in, 'rev-parse', 'HEAD', :out).out.slurp(:close).chomp;
    broken "commit %source<commit> was asked for, $head is checked out" if %source<commit> && $head ne %source<commit>;
    meta "commit=$head";
}

sub unpack(%source) {
    begin 'archive';
    my $file = "$work/source.tar.gz";
    mkdir $checkout;
    defined api("/file/%source<project>/%source<job_id>/%source<file>", '--output', $file, secs => 900) or broken 'the source archive is not on the host';
    with sha256 $file { broken "the source archive has the sha256 $_" if $_ ne %source<sha256> }
    need 'tar', '-xzf', $file, '--no-same-owner', '-C', $checkout;
    meta "commit=%source<commit>" if %source<commit>;
}

# Nothing where there is no sha256sum: the orchestrator adds an output up itself.
sub sha256($file) { try run('sha256sum', '--', $file, :out, :err).out.slurp(:close).words[0] }

# --- the job ------------------------------------------------------------------

mkdir $work;
for @hosts {
    $api = $_;
    last if stash().defined;
}
finish 'cancelled', 130 if cancel-asked();

my %source = %spec<source>;
given %source<kind> {
    when 'git'     { clone %source }
    when 'archive' { unpack %source }
    when 'dir'     { $checkout = %source<dir>.subst(/^ '~' <?before '/' | $> /, %*ENV<HOME> // '') }
    default        { broken "source kind %source<kind> is not known to this version" }
}
my $dir = $checkout;
$dir ~= "/%source<dir>" if %source<kind> ne 'dir' && %source<dir>;
broken "there is no directory $dir" unless $dir.IO.d;

begin 'inputs' if %spec<in>;
for (%spec<in> // []).list -> %in {
    my $file = "$dir/.artifacts/%in<path>".IO;
    mkdir $file.parent;
    defined api("/file/$mine/%in<name>", '--output', ~$file, secs => 900) or broken "input %in<path> is not on the host";
}

my %env = %*ENV;
%env{$_}:delete for <SP6_CONFIG SP6_TAGS SP6_PREFIX SP6_REPO SP6_FORMAT_COLOR>;    # Sparky's own; SP6_TAGS has the token
for (%spec<env> // {}).pairs -> $var {
    my $p = run 'base64', '-d', :in, :out, :bin;
    $p.in.write: $var.value.encode('ascii');
    $p.in.close;
    %env{$var.key} = $p.out.slurp(:close).decode('utf8-c8');    # keeps every byte
}

begin 'scenario';
my $limit = (%spec<timeout> // 0).Int;
my $begun = now;
for (%spec<action> // []).list -> $action {
    my $left = $limit ?? ($limit - (now - $begun)).ceiling !! 0;
    finish 'timeout', 124 if $limit && $left <= 0;
    my $code = attempt 'tom', '--no_index_update', |(%spec<options> // []).list, $action, :cwd($dir), :%env, :secs($left);
    next unless $code;
    finish 'timeout', 124 if $limit && now - $begun >= $limit;
    finish 'failed', $code;
}

begin 'outputs' if %spec<out>;
for (%spec<out> // []).list -> %out {
    my $file = "$dir/%out<path>".IO;
    unless !$file.l && $file.f && $file.resolve.Str.starts-with($checkout.IO.resolve.Str ~ '/') {
        note "artifact %out<file>: %out<path> is not a regular file of the checkout";
        finish 'failed', 66;
    }
    my $answer = api "/file/project/%tag<SPARKY_PROJECT>/job/%tag<SPARKY_JOB_ID>/filename/%out<file>",
        '--upload-file', ~$file, '--header', 'Expect:', '--header', 'Content-Type: application/octet-stream', :auth, secs => 900;
    broken "artifact %out<file> could not be kept: {$answer // 'no answer'}" unless $answer.defined && $answer.contains('"path"');
    meta "out=%out<file>", "bytes={$file.s}", |("sha256=$_" with sha256 ~$file);
}
finish 'ok', 0;
}
