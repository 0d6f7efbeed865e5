#!/usr/bin/env bash
# Install Chromium and chromedriver, for the tests beside this script, where they are missing.
set -euo pipefail

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  "$(dirname "$0")/../../support/apt_install.sh" chromium chromium-driver
fi
