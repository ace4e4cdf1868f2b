#!/usr/bin/env bash
# Pin every requirement with its hashes. Needs `uv`; run after changing an .in file.
# Each smaller lock is constrained by the largest, so that one version runs everywhere.
set -euo pipefail
cd "$(dirname "$0")"
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-header --no-emit-index-url --no-emit-find-links --no-emit-build-options "$@"
}
compile dev.in --output-file dev.txt
for lock in stack exporter collector readers; do
  compile "$lock.in" --constraint dev.txt --output-file "$lock.txt"
done
