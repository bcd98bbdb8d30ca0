#!/usr/bin/env bash
# Checks the registry packages: each builds from its contents, and contains the licences and a front page.
source "$(dirname "$0")/../lib.sh"

packages=(draw-protocol draw-printer draw-forks draw-client draw-trim display-server)
# Each package of the workspace that would be published must be one of these.
cargo metadata --locked --no-deps --format-version 1 >"$scratch/metadata"
"$python" - "$scratch/metadata" "${packages[@]}" <<'PYTHON'
import json, sys
packages = json.load(open(sys.argv[1]))["packages"]
published = {package["name"] for package in packages if package["publish"] is None}
if published != set(sys.argv[2:]):
    sys.exit(f"packages that are published: {sorted(published)}; packages that this step makes: {sorted(sys.argv[2:])}")
for package in packages:
    missing = [key for key in ("description", "license", "readme", "keywords", "categories") if not package[key]]
    if package["name"] in published and missing:
        sys.exit(f"{package['name']} has no {', '.join(missing)}")
if len({package["version"] for package in packages}) != 1:
    sys.exit("the packages have different versions")
PYTHON
target=$(metadata target)
rm -rf "$target/package"
# Uncommitted changes are packaged too: this step runs before a commit.
cargo package --locked --allow-dirty "${packages[@]/#/-p}" >"$scratch/package" 2>&1 ||
    { cat "$scratch/package" && fail "cargo package failed"; }
for package in "${packages[@]}"; do
    archives=("$target/package/$package"-[0-9]*.crate)
    mkdir -p "$scratch/$package"
    tar -C "$scratch/$package" --strip-components=1 -xzf "${archives[0]}"
    for licence in LICENSE-MIT LICENSE-APACHE; do
        # Links in the repository must be files in the package.
        [[ ! -L $scratch/$package/$licence ]] || fail "$package: $licence is a link"
        cmp "$licence" "$scratch/$package/$licence"
    done
    [[ -s $scratch/$package/README.md ]] || fail "$package has no README.md"
    ! grep -n 'path = "\.\.' "$scratch/$package/Cargo.toml" || fail "$package depends on a path"
    echo "$package: $(tar -tzf "${archives[0]}" | wc -l) files, $(($(stat -c %s "${archives[0]}") / 1024)) KiB"
done
