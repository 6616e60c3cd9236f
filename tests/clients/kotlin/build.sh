#!/usr/bin/env bash
# build.sh OUT            compiles the stubs.
# build.sh OUT STUBS KIT  compiles a kit's Kotlin code and Check*.kt against the compiled stubs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
compiler=$here/../../../.clients/kotlin/node_modules/kotlin-compiler
if [ $# -eq 1 ]; then
    bash "$compiler/bin/kotlinc" -nowarn -d "$1" "$here"/stubs/*.kt
else
    bash "$compiler/bin/kotlinc" -cp "$2" -d "$1" "$here"/Check*.kt $(find "$3/android" -name "*.kt")
fi
