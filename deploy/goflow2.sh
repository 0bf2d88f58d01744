#!/usr/bin/env bash
# Builds goflow2 into build/goflow2 for the tests that use it as a collector, where Go and its proxy are there; else says
# why not. The version is that of deploy/compose.yaml.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v2.2.3
place=$PWD/build/goflow2
if [ -x "$place/goflow2" ]; then
    exit 0
fi
go=$(command -v go || echo /usr/local/go/bin/go)
if [ ! -x "$go" ]; then
    echo "goflow2 is not built: Go is not installed; the tests that use it say so and are skipped"
    exit 0
fi
if ! GOBIN=$place "$go" install "github.com/netsampler/goflow2/v2/cmd/goflow2@$version"; then
    echo "goflow2 is not built: Go could not fetch it; the tests that use it say so and are skipped"
fi
