#!/bin/sh
# build.sh OUT            compiles the stubs.
# build.sh OUT STUBS KIT  compiles a kit's ios/*.swift and Check.swift against the compiled stubs.
# Language mode 6 checks that threads share nothing by mistake; a warning is an error.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
swiftc="sh $here/swift.sh swiftc -swift-version 6 -warnings-as-errors"
if [ $# -eq 1 ]; then
    for name in CoreGraphics QuartzCore CoreVideo Accelerate CryptoKit UIKit AVFoundation SwiftUI \
        TensorFlowLite; do
        $swiftc -parse-as-library -module-name $name -I "$1" -emit-module -emit-module-path \
            "$1/$name.swiftmodule" -emit-object -o "$1/$name.o" "$here/stubs/$name.swift"
    done
else
    check=$here/Check.swift
    [ -e "$3/web/smooth.js" ] || check=$here/ClassesCheck.swift # its network gives classes
    label=$(grep -o "init(logits:\|init(probabilities:\|init(classes:" "$3/ios/Mask.swift" | head -n 1)
    sed "s/Mask(logits:/Mask(${label#init(}/" "$check" >"$1/main.swift"
    $swiftc -typecheck -I "$2" "$3"/ios/*.swift # a release build
    $swiftc -D DEBUG -O -use-ld=lld -I "$2" -o "$1/check" "$1/main.swift" "$3"/ios/*.swift "$2"/*.o
fi
