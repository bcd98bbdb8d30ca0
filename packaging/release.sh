#!/bin/bash
# Makes a tarball of the program with its man pages, completions and units: `packaging/release.sh [DIR]`, by default into target/release-files.
#
# It unpacks into a prefix: `tar -C /usr/local --strip-components=1 -xf display-server-VERSION-TARGET.tar.gz`. Two tarballs of one commit by one
# compiler are equal: names are sorted, owners are root, and times are that of the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/release-files}
version=$(cargo metadata --locked --no-deps --format-version 1 |
    sed 's/.*"name":"display-server","version":"\([^"]*\)".*/\1/')
host=$(rustc -vV | sed -n 's/^host: //p')
name=display-server-$version-$host
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

cargo build --quiet --locked --release -p display-server
packaging/manual.sh target/manual
binary=${CARGO_TARGET_DIR:-target}/release/display-server

mkdir -p "$out"
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
# Puts a file to where it lies below a prefix.
put() { install -D -m "$1" "$2" "$staged/$name/$3"; }
put 755 "$binary" bin/display-server
for page in target/manual/*.1; do
    put 644 "$page" "share/man/man1/${page##*/}"
done
put 644 target/manual/display-server.bash share/bash-completion/completions/display-server
put 644 target/manual/_display-server share/zsh/site-functions/_display-server
put 644 target/manual/display-server.fish share/fish/vendor_completions.d/display-server.fish
for unit in packaging/systemd/*; do
    put 644 "$unit" "lib/systemd/system/${unit##*/}"
done
for document in README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE; do
    put 644 "$document" "share/doc/display-server/$document"
done

tar -C "$staged" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
