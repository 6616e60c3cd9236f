#!/bin/sh
# unpack_debs.sh FOLDER ARCHITECTURE PACKAGE...
# Unpacks Debian packages of any architecture into FOLDER. It installs nothing and needs no root.
# It downloads the package lists of the configured apt sources to a temporary folder. With a name of
# a Debian release in SUITE it takes that release's packages instead, such as SUITE=trixie.
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
if [ -n "${SUITE:-}" ]; then
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] http://deb.debian.org/debian $SUITE main" >suite.list
fi
apt() {
    apt-get -qq ${SUITE:+-o Dir::Etc::SourceList="$work/suite.list" -o Dir::Etc::SourceParts=/dev/null} -o Dir::State="$work/state" -o Dir::State::status="$work/state/status" \
        -o Dir::Cache="$work/cache" -o APT::Architecture="$architecture" \
        -o APT::Architectures="$architecture" -o APT::Sandbox::User=root "$@"
}
apt update
apt download "$@"
for package in *.deb; do
    dpkg-deb -x "$package" "$folder"
done
