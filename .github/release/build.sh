#!/usr/bin/env bash
# build.sh VERSION OUT [OS/ARCH…] builds cromt-OS-ARCH for the release's
# platforms, or those named, and their checksums.txt, into the folder OUT.
#
# The bytes depend on the source, on VERSION and on the Go release that go.mod
# names, and on nothing else: not on the folder, the machine or its settings.
set -euo pipefail

version=${1:?usage: build.sh VERSION OUT [OS/ARCH…]}
out=${2:?usage: build.sh VERSION OUT [OS/ARCH…]}
shift 2
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "build.sh: version \"$version\": must be like v1.2.3 or v1.2.3-rc.1" >&2; exit 2; }
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/../.."

# Where modules come from stays as it is set; what could change a byte does not.
for name in GOPATH GOCACHE GOMODCACHE GOPROXY GOSUMDB GOPRIVATE GONOPROXY GONOSUMDB; do
  export "$name=$(go env "$name")"
done
export GOENV=off GOFLAGS='' GOWORK=off GO111MODULE='' GOEXPERIMENT='' GODEBUG='' GOFIPS140=off CGO_ENABLED=0 GOAMD64=v1 GOARM64=v8.0
GOTOOLCHAIN=go$(awk '$1 == "go" { print $2; exit }' go.mod)
export GOTOOLCHAIN

rm -f "$out"/cromt-* "$out/checksums.txt"
for platform; do
  os=${platform%/*} arch=${platform#*/} exe=''
  [ "$os" != windows ] || exe=.exe
  GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$out/cromt-$os-$arch$exe" ./cmd/cromt
done
cd "$out"
if command -v sha256sum >/dev/null; then hasher=(sha256sum); else hasher=(shasum -a 256); fi
"${hasher[@]}" cromt-* >checksums.txt
