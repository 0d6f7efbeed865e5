#!/usr/bin/env bash
# Install packages of Debian:  apt_install.sh PACKAGE ...
set -euo pipefail

if ! command -v apt-get >/dev/null; then
  echo "error: There is no apt-get to install $*; run this on Debian or Ubuntu, for instance in a container." >&2
  exit 1
fi
run=()
if ((EUID)); then
  run=(sudo)
fi
"${run[@]}" apt-get update --quiet=2
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@"
