#!/bin/sh
# The first process of a container: `cordon`, with what was compiled when the image was built.
# It is looked up only where it could be written, and the image cannot be: so each container takes it along.
set -eu
if [ ! -e "$NUMBA_CACHE_DIR" ]; then
    cp -r "${CORDON_COMPILED:-/opt/cordon/compiled}" "$NUMBA_CACHE_DIR"
fi
exec cordon "$@"
