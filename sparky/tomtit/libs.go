package tomtit

// What tasks call. Bash reads its parameters from config.tab, pairs of
// NUL-ended key and value, so that any text passes; the others from JSON.
const bashLib = `config() {
  local k v LC_ALL=C
  while IFS= read -r -d '' k && IFS= read -r -d '' v; do
    if [[ $k == "$1" ]]; then printf '%s\n' "$v"; return 0; fi
  done < "$cache_dir/config.tab"
  return 0
}
task_var() { local n=$1; printf '%s\n' "${!n}"; }
run_task() { printf '%s\0' "$@" >> "$cache_dir/run_task"; printf '\0' >> "$cache_dir/run_task"; }
set_stdout() { printf '%s\n' "$*" >> "$cache_dir/set_stdout"; }
ignore_error() { : > "$cache_dir/ignore"; }
update_state() { printf '%s\0' "$@" >> "$cache_dir/state"; }
story_var() { task_var "$@"; }
run_story() { run_task "$@"; }
`

const pythonLib = `import json, os
def _read(name):
    with open(os.path.join(os.environ["cache_dir"], name), encoding="utf-8") as f:
        return json.load(f) or {}
def config(): return _read("config.json")
def task_var(name): return _read("variables.json").get(name)
def root_dir(): return os.environ["SPARROW_ROOT_DIR"]
def project_root_dir(): return root_dir()
def task_dir(): return os.environ["SPARROW_TASK_DIR"]
def cache_dir(): return os.environ["cache_dir"]
def cache_root_dir(): return os.environ["cache_root_dir"]
def test_root_dir(): return cache_root_dir()
def ignore_error(): open(os.path.join(cache_dir(), "ignore"), "w").close()
`

const perlLib = `package sparrow6lib;
use strict; use JSON::PP;
sub _read {
  open my $f, '<:raw', "$ENV{cache_dir}/$_[0]" or die $!;
  local $/; return JSON::PP->new->utf8->decode(<$f>) || {};
}
sub config { my $c = _read('config.json'); return $c unless @_; $c = ref $c eq 'HASH' ? $c->{$_} : undef for split /\./, $_[0]; return $c }
sub task_var { return _read('variables.json')->{$_[0]} }
sub root_dir { $ENV{SPARROW_ROOT_DIR} }
sub project_root_dir { $ENV{SPARROW_ROOT_DIR} }
sub task_dir { $ENV{SPARROW_TASK_DIR} }
sub cache_dir { $ENV{cache_dir} }
sub cache_root_dir { $ENV{cache_root_dir} }
sub test_root_dir { $ENV{cache_root_dir} }
sub ignore_error { open my $f, '>', "$ENV{cache_dir}/ignore" or die $! }
sub import { no strict 'refs'; *{"main::$_"} = \&{$_} for qw(config task_var root_dir project_root_dir task_dir cache_dir cache_root_dir test_root_dir ignore_error) }
1;
`

const rubyLib = `require 'json'
$stdout.sync = true
def _sparrow_read(name) = JSON.parse(File.read(File.join(ENV['cache_dir'], name), encoding: 'UTF-8')) || {}
def config = _sparrow_read('config.json')
def task_var(name) = _sparrow_read('variables.json')[name]
def root_dir = ENV['SPARROW_ROOT_DIR']
def project_root_dir = ENV['SPARROW_ROOT_DIR']
def task_dir = ENV['SPARROW_TASK_DIR']
def cache_dir = ENV['cache_dir']
def cache_root_dir = ENV['cache_root_dir']
def test_root_dir = ENV['cache_root_dir']
def ignore_error = File.write(File.join(cache_dir, 'ignore'), '')
`
