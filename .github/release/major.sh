#!/usr/bin/env bash
# major.sh TAG prints the moving tag that follows TAG, such as v1, or nothing:
# a prerelease moves none, nor does v1.2.4 when there is a v1.3.0. Standard
# input lists the repository's tags, one a line, with or without refs/tags/.
set -euo pipefail

tag=${1:?usage: major.sh TAG}
[[ $tag =~ ^(v[0-9]+)\.[0-9]+\.[0-9]+$ ]] || exit 0
major=${BASH_REMATCH[1]}
newest=$({ sed 's|^refs/tags/||'; printf '%s\n' "$tag"; } | grep -E "^$major\.[0-9]+\.[0-9]+\$" | sort -V | tail -n 1)
if [ "$newest" = "$tag" ]; then printf '%s\n' "$major"; fi
