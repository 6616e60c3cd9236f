#!/bin/sh
# unpack_debs.sh FOLDER ARCHITECTURE PACKAGE...
# Unpacks Debian packages of any architecture into FOLDER. It installs nothing and needs no root.
# It downloads the package lists of the configured apt sources to a temporary folder.
set -eu
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "cannot unpack Debian packages: apt-get and dpkg-deb are missing. Use Debian 12" >&2
    exit 1
}
mkdir -p "$1"
folder=$(cd "$1" && pwd)
architecture=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p state/lists/partial cache/archives/partial
touch state/status
apt() {
    apt-get -qq -o Dir::State="$work/state" -o Dir::State::status="$work/state/status" \
        -o Dir::Cache="$work/cache" -o APT::Architecture="$architecture" \
        -o APT::Architectures="$architecture" -o APT::Sandbox::User=root "$@"
}
apt update
apt download "$@"
for package in *.deb; do
    dpkg-deb -x "$package" "$folder"
done
