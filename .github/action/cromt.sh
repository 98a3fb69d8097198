#!/usr/bin/env bash
# Finds or makes the cromt binary and becomes it, so that the runner's signals
# reach it. In this order:
#
#   1. the binary that the input names
#   2. the runner's tool cache
#   3. this release's asset
#   4. this checkout, built with Go
#
# A release commit holds `version` and `checksums.txt` beside this file: whoever
# pins the action's commit pins the binary. A checkout without them is built.
# What is neither named, nor built here, nor what checksums.txt says, never runs.
#
# Works with bash 3.2 (macOS) and Git's bash (Windows).
set -euo pipefail

max_bytes=$((128 << 20)) # eight times the binary: an answer beyond it is something else

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
fresh=''
trap 'rm -rf "$fresh"' EXIT # not run by exec: see keep

command_text() { # escapes the text of a workflow command
  local text=${1//\%/%25}
  text=${text//$'\r'/%0D}
  printf '%s' "${text//$'\n'/%0A}"
}

notice() { printf '::notice title=cromt::%s\n' "$(command_text "$1")"; }

fail() { # says and leaves what cromt itself does when something is wrong before anything was sent
  printf '::error title=cromt::%s\n' "$(command_text "$1")"
  if [ -n "${GITHUB_OUTPUT:-}" ]; then printf 'conclusion=failure\nfailed=[]\n' >>"$GITHUB_OUTPUT"; fi
  exit 2
}

# use_named sets binary to what the input names: like a shell, a name without a
# slash is looked up on the PATH alone.
use_named() {
  binary=$INPUT_BINARY
  case $binary in
    */* | *\\*) ;;
    *) binary=$(type -P -- "$binary") || fail "binary \"$INPUT_BINARY\": not found on the PATH; a file of the workspace is ./$INPUT_BINARY" ;;
  esac
  [ -f "$binary" ] || fail "binary \"$binary\": no such file (relative to $PWD)"
  [ -x "$binary" ] || fail "binary \"$binary\": not executable; chmod +x it first"
}

# platform sets os and arch in Go's words, slot as the tool cache names an
# architecture, exe as what a program's file name ends in.
platform() {
  case "${RUNNER_OS:-$(uname -s)}" in
    Linux) os=linux exe='' ;;
    macOS | Darwin) os=darwin exe='' ;;
    Windows | MINGW* | MSYS* | CYGWIN*) os=windows exe=.exe ;;
    *) os=unknown exe='' ;;
  esac
  case "${RUNNER_ARCH:-$(uname -m)}" in
    X64 | x86_64 | amd64) arch=amd64 slot=x64 ;;
    ARM64 | aarch64 | arm64) arch=arm64 slot=arm64 ;;
    *) arch=unknown slot=other ;;
  esac
  asset=cromt-$os-$arch$exe
}

# release sets version and sum from the committed pair; sum is empty where the
# release has nothing for this platform, both where there is no pair.
release() {
  version='' sum=''
  if [ ! -f "$here/version" ] || [ ! -f "$here/checksums.txt" ]; then return; fi
  version=$(tr -d '\r\n' <"$here/version")
  [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail ".github/action/version: \"$version\" is no release; use the action at a release's tag or commit"
  sum=$(tr -d '\r' <"$here/checksums.txt" | awk -v name="$asset" '$2 == name { print $1; exit }')
  [[ -z $sum || $sum =~ ^[0-9a-f]{64}$ ]] || fail ".github/action/checksums.txt: no SHA-256 for $asset; use the action at a release's tag or commit"
}

sha256() { "${hasher[@]}" | cut -c1-64; } # of standard input: a file's name would change the output on Windows

verified() { [ -f "$1" ] && [ "$(sha256 <"$1")" = "$2" ]; }

# caches lists the folders that may hold a binary: the tool cache, which on a
# self-hosted runner outlives the job, else the job's own.
caches() {
  local dir
  for dir in "${RUNNER_TOOL_CACHE:-}" "${RUNNER_TEMP:-}"; do
    if [ -n "$dir" ]; then printf '%s\n' "$dir/cromt"; fi
  done
}

# use_cached KEY [SUM] sets binary to a cached one. Without SUM it is one that
# was built here, whose own sum lies beside it: that tells a damaged file, not
# a hostile one, which could only be put there by a job of the same user.
use_cached() {
  local dir file want
  while IFS= read -r dir; do
    file=$dir/$1/$slot/cromt$exe
    want=${2:-$(cat "$file.sha256" 2>/dev/null || true)}
    if verified "$file" "$want"; then
      binary=$file
      return 0
    elif [ -f "$file" ]; then
      notice "$file: not what it should be; it is replaced"
    fi
  done < <(caches)
  return 1
}

# make_room KEY sets store, the first cache that can be written to, and fresh, a
# new folder in it: what is whole moves from there in one step. Without a cache
# it is a folder of this step's own, since others can write to /tmp.
make_room() {
  local dir
  while IFS= read -r dir; do
    store=$dir/$1/$slot
    if mkdir -p "$store" 2>/dev/null && fresh=$(mktemp -d "$store/new.XXXXXX" 2>/dev/null); then return; fi
  done < <(caches)
  if ! store=$(mktemp -d) || ! fresh=$(mktemp -d "$store/new.XXXXXX"); then
    fail "no folder for the binary: neither RUNNER_TOOL_CACHE, nor RUNNER_TEMP, nor ${TMPDIR:-/tmp} can be written to"
  fi
}

# keep SUM moves the fresh binary to its place. Windows does not replace a
# program that another step is running: then that one must be the same.
keep() {
  chmod 755 "$fresh/cromt$exe"
  binary=$store/cromt$exe
  mv -f "$fresh/cromt$exe" "$binary" 2>/dev/null || verified "$binary" "$1" || fail "$binary: cannot be replaced; clean the runner's tool cache"
  rm -rf "$fresh"
}

# fetch URL FILE downloads with https, or with http from this very machine.
fetch() {
  local only='=https' type
  if [[ $1 =~ ^http://(127\.0\.0\.1|localhost)(:[0-9]+)?/ ]]; then only='=http'; fi
  type=$(
    ulimit -f $((max_bytes / 1024)) 2>/dev/null || true # for servers that do not say how much they send
    curl --fail --silent --show-error --location --proto "$only" --proto-redir '=https' --connect-timeout 10 --max-time 300 \
      --retry 3 --retry-max-time 120 --max-filesize "$max_bytes" --output "$2" --write-out '%{content_type}' "$1"
  ) || return 1
  case $type in text/*) return 1 ;; esac # a page that asks to sign in
}

# download sets binary to the release's asset. That it cannot be had is no
# error; that it is another one is.
download() {
  local base
  local -a bases=("${GITHUB_SERVER_URL:-https://github.com}")
  case ${bases[0]} in https://github.com | http://*) ;; *) bases+=(https://github.com) ;; esac
  make_room "${version#v}"
  for base in "${bases[@]}"; do
    fetch "$base/cromt/cromt/releases/download/$version/$asset" "$fresh/cromt$exe" || continue
    if ! verified "$fresh/cromt$exe" "$sum"; then
      fail "$base: $asset of $version is not the file that this action's checksums.txt names; it was deleted, do not use that release before you know why"
    fi
    keep "$sum"
    return 0
  done
  rm -rf "$fresh"
  notice "$asset of $version cannot be downloaded from ${bases[*]}; it is built from source"
  return 1
}

# source_key names the source's content: everything but what no build reads.
source_key() {
  (
    cd "$root"
    find . \( -name .git -o -name testdata -o -name dist \) -prune -o -type f ! -name '*_test.go' ! -name '*.md' -print0 |
      xargs -0 "${hasher[@]}" | LC_ALL=C sort | sha256
  )
}

# build sets binary to this checkout's. What a job sets for its own builds, such
# as the GOOS of a matrix, must not count.
build() {
  local key made
  key=source-$os-$(source_key)
  if use_cached "$key"; then return; fi
  type -P go >/dev/null || fail "no cromt for $os/$arch: ${why}, and there is no Go to build it with; name one with the input binary, or put actions/setup-go before this step"
  make_room "$key"
  printf 'cromt: building from source with %s\n' "$(go env GOVERSION)"
  if ! env -u GOOS -u GOARCH -u GOAMD64 -u GOARM64 -u GOEXPERIMENT -u GO111MODULE CGO_ENABLED=0 GOWORK=off GOFLAGS=-trimpath \
    go build -C "$root" -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$fresh/cromt$exe" ./cmd/cromt; then
    fail "cromt does not build: see above; it needs Go $(awk '$1 == "go" { print $2 }' "$root/go.mod"), which actions/setup-go can install, and its modules; or name a binary with the input binary"
  fi
  made=$(sha256 <"$fresh/cromt$exe")
  printf '%s' "$made" >"$store/cromt$exe.sha256"
  keep "$made"
}

find_binary() {
  local why='this checkout is no release'
  if [ -n "${INPUT_BINARY:-}" ]; then
    use_named
    return
  fi
  if type -P sha256sum >/dev/null; then
    hasher=(sha256sum)
  elif type -P shasum >/dev/null; then
    hasher=(shasum -a 256)
  else
    fail "neither sha256sum nor shasum is installed, so no binary can be verified; name one with the input binary"
  fi
  platform
  release
  if [ -n "$sum" ]; then
    if use_cached "${version#v}" "$sum"; then return; fi
    if download; then return; fi
    why="its release cannot be downloaded"
  elif [ -n "$version" ]; then
    why="its release has none"
  fi
  build
}

case "${INPUT_COMMAND:-run}" in
  run) set -- action ;;
  cancel) set -- action cancel ;;
  *) fail "command \"$INPUT_COMMAND\": must be run or cancel" ;;
esac
find_binary
exec "$binary" "$@"
