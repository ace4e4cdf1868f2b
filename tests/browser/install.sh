#!/usr/bin/env bash
# Get a Chromium for the browser tests: the system's where it has one, else Playwright's own.
set -euo pipefail
playwright=$1
if command -v apt-get >/dev/null && apt-cache show chromium >/dev/null 2>&1; then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends chromium; then
    exit 0
  fi
fi
"$playwright" install chromium || {
  echo "No Chromium could be had here. Install one (Debian: apt-get install chromium), then run make test again." >&2
  exit 1
}
