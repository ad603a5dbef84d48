#!/bin/sh
# Builds dist/: a wheel and an sdist by the given Python, and a .deb by Debian's tools.
set -eu
python=$1
cd "$(dirname "$0")/.."
"$python" -m build --quiet --outdir dist
version=$("$python" -c 'from goloagent import VERSION; print(VERSION)')
# Built beside the checkout's own files: dpkg-buildpackage wants debian/ at the top.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
source=$build/golo-agent-$version
mkdir "$source"
tar -xzf "dist/golo_agent-$version.tar.gz" --strip-components=1 -C "$source"
cp -r etc/debian "$source/debian"
sed "s/@VERSION@/$version/" etc/debian/changelog.in > "$source/debian/changelog"
(cd "$source" && dpkg-buildpackage --build=binary --no-sign >"$build/log" 2>&1) || { cat "$build/log"; exit 1; }
cp "$build"/golo-agent_*.deb dist/
ls -l dist
