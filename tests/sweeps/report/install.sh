#!/usr/bin/env bash
# Install Chromium and chromedriver, for the tests beside this script, where they are missing.
set -euo pipefail

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  exit
fi
if ! command -v apt-get >/dev/null; then
  echo "error: There is no chromium with chromedriver and no apt-get to install them; run make test-browser on" \
    "Debian, for instance in a container." >&2
  exit 1
fi
run=()
if ((EUID)); then
  run=(sudo)
fi
"${run[@]}" apt-get update --quiet=2
"${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
  chromium chromium-driver
