# Runs one file of a Sparrow task, named by the argument, with its helpers.
# Values come from files of NUL-terminated fields and are never read as code.

__cromt_load() {
  local LC_ALL=C __cromt_k __cromt_v
  while IFS= read -r -d '' __cromt_k && IFS= read -r -d '' __cromt_v; do
    printf -v "$__cromt_k" %s "$__cromt_v"
  done <"$1"
}

__cromt_get() {
  local LC_ALL=C __cromt_k __cromt_v
  while IFS= read -r -d '' __cromt_k && IFS= read -r -d '' __cromt_v; do
    if [ "$__cromt_k" = "$2" ]; then
      printf %s "$__cromt_v"
      return 0
    fi
  done <"$1"
}

__cromt_file=$1
shift
__cromt_load "${BASH_SOURCE[0]%/*}/vars"
export os cache_root_dir cache_dir

config() {
  if [ $# -eq 0 ]; then
    echo 'config: name a key, as in config worker' >&2
    return 1
  fi
  __cromt_get "$cache_root_dir/config" "$1"
}

task_var() { __cromt_get "$cache_dir/task_vars" "${1-}"; }

set_stdout() { printf '%s\n' "$*" >>"$stdout_file"; }

ignore_error() { printf 'ignore\0' >>"$cache_dir/calls"; }

ignore_task_error() { ignore_error; }

ignore_task_check_error() { printf 'soft\0' >>"$cache_dir/calls"; }

run_task() {
  local __cromt_task=${1-}
  shift
  if [ $(($# % 2)) -eq 1 ]; then set -- "$@" ''; fi
  if [ $# -eq 0 ]; then
    printf '%s\0' run "$__cromt_task" 0 >>"$cache_dir/calls"
  else
    printf '%s\0' run "$__cromt_task" $(($# / 2)) "$@" >>"$cache_dir/calls"
  fi
}

update_state() {
  while [ $# -gt 0 ]; do
    printf '%s\0' "$1" "${2-}" >>"$cache_root_dir/state"
    shift
    if [ $# -gt 0 ]; then shift; fi
  done
}

if [ -f "$task_dir/common.bash" ]; then source "$task_dir/common.bash"; fi
if [ -f "$root_dir/common.bash" ]; then source "$root_dir/common.bash"; fi
source "$task_dir/$__cromt_file"
