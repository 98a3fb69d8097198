#!/usr/bin/env bash
# verify.sh TAG refuses a tag whose commit holds another version, or other
# checksums than those of dist/, which was built from it.
set -euo pipefail

tag=${1:?usage: verify.sh TAG}
cd "$(dirname "$0")/../.."
committed=.github/action

refuse() { echo "verify.sh: $1; make release VERSION=$tag and commit $committed before tagging" >&2; exit 1; }

if [ ! -f $committed/version ] || [ ! -f $committed/checksums.txt ]; then refuse "the commit of $tag has no version and checksums"; fi
[ "$(cat $committed/version)" = "$tag" ] || refuse "the commit of $tag says that it is $(cat $committed/version)"
diff -u $committed/checksums.txt dist/checksums.txt >&2 || refuse "what $tag builds is not what its checksums say"
(cd dist && { if command -v sha256sum >/dev/null; then sha256sum -c --quiet checksums.txt; else shasum -a 256 -c checksums.txt >/dev/null; fi; }) || refuse "dist is not what was built"
