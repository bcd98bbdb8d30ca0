#!/usr/bin/env bash
# Builds the tarball of a release, and checks the files of the Debian package.
source "$(dirname "$0")/../lib.sh"

tarball=$(packaging/release.sh "$scratch/release")
again=$(packaging/release.sh "$scratch/again")
cmp "$tarball" "$again"
(cd "$scratch/release" && sha256sum --quiet -c ./*.sha256)
mkdir "$scratch/prefix"
tar -C "$scratch/prefix" --strip-components=1 -xf "$tarball"
[[ $("$scratch/prefix/bin/display-server" --version) == "$(target/release/display-server --version)" ]] ||
    fail "the tarball has another program"
for file in share/man/man1/display-server.1 share/bash-completion/completions/display-server lib/systemd/system/display-server.socket \
    share/doc/display-server/SECURITY.md share/doc/display-server/LICENSE-MIT; do
    [[ -s $scratch/prefix/$file ]] || fail "the tarball has no $file"
done
echo "${tarball##*/}: $(tar -tf "$tarball" | wc -l) files, $(($(stat -c %s "$tarball") / 1024)) KiB"

"$python" - <<'PYTHON'
import glob, os, sys, tomllib
with open("display-server/Cargo.toml", "rb") as file:
    deb = tomllib.load(file)["package"]["metadata"]["deb"]
for source, _, _ in deb["assets"]:
    # As in cargo-deb: paths in the target directory refer to that of the workspace, all others are relative to the
    # package.
    path = source if source.startswith("target/") else os.path.join("display-server", source)
    if not glob.glob(path):
        sys.exit(f"the Debian package: there is no {path}")
if not os.path.exists(os.path.join("display-server", deb["license-file"][0])):
    sys.exit(f"the Debian package: there is no {deb['license-file'][0]}")
print(f"the Debian package: {len(deb['assets'])} assets exist")
PYTHON
