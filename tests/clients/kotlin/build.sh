#!/usr/bin/env bash
# Compiles the stubs (build.sh OUT) or a kit's android/*.kt against them (build.sh OUT STUBS KIT).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
compiler=$here/../../../.clients/kotlin/node_modules/kotlin-compiler
if [ $# -eq 1 ]; then
    bash "$compiler/bin/kotlinc" -nowarn -d "$1" "$here"/stubs/*.kt
else
    bash "$compiler/bin/kotlinc" -cp "$2" -d "$1" "$here/Check.kt" "$3"/android/*.kt
fi
