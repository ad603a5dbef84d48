#!/bin/sh
# Build a wheel and an sdist by the given Python, and a .deb by Debian's tools, into dist/ or the given
# directory.
set -eu
python=$1
cd "$(dirname "$0")/.."
dist=$(mkdir -p "${2:-dist}" && cd "${2:-dist}" && pwd)
"$python" -m build --quiet --outdir "$dist"
version=$("$python" -c 'from goloagent import VERSION; print(VERSION)')
# Build outside the checkout, because dpkg-buildpackage needs debian/ at the top.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
source=$build/golo-agent-$version
mkdir "$source"
tar -xzf "$dist/golo_agent-$version.tar.gz" --strip-components=1 -C "$source"
cp -r etc/debian "$source/debian"
sed "s/@VERSION@/$version/" etc/debian/changelog.in > "$source/debian/changelog"
(cd "$source" && dpkg-buildpackage --build=binary --no-sign >"$build/log" 2>&1) || { cat "$build/log"; exit 1; }
cp "$build"/golo-agent_*.deb "$dist"
ls -l "$dist"
