#!/usr/bin/env bash
# build.sh OUT            compiles the stubs.
# build.sh OUT STUBS KIT  compiles a kit's Kotlin code and Check*.kt against the compiled stubs, or
#                         ClassesCheck.kt for a kit whose network gives classes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
compiler=$here/../../../.clients/kotlin/node_modules/kotlin-compiler
if [ $# -eq 1 ]; then
    bash "$compiler/bin/kotlinc" -nowarn -d "$1" "$here"/stubs/*.kt
else
    check=$(ls "$here"/Check*.kt)
    [ -e "$3/web/smooth.js" ] || check=$here/ClassesCheck.kt
    bash "$compiler/bin/kotlinc" -cp "$2" -d "$1" "$here/TestApp.kt" $check \
        $(find "$3/android" -name "*.kt")
fi
