#!/usr/bin/env bash
# Checks that man pages and completions contain the options of --help.
source "$(dirname "$0")/../lib.sh"

packaging/manual.sh "$scratch/manual"
# The program that generated them.
program=$(metadata target)/debug/display-server
help=$("$program" --help)
mapfile -t options < <(grep -oE '^ +(-., )?--[a-z-]+' <<<"$help" | grep -oE -- '--[a-z-]+')
((${#options[@]} > 10)) || fail "--help lists ${#options[@]} options"
# Without the escapes of roff.
page=$(sed 's/\\//g' "$scratch/manual/display-server.1")
for option in "${options[@]}"; do
    grep -qF -- "$option" <<<"$page" || fail "the man page does not have $option"
    for shell in display-server.bash _display-server; do
        grep -qF -- "$option" "$scratch/manual/$shell" || fail "$shell does not have $option"
    done
    grep -qE -- "-l ${option#--}( |\$)" "$scratch/manual/display-server.fish" || fail "display-server.fish does not have $option"
done
statuses=$(sed -n '/^Exit status:/,$p' <<<"$help" | tail -n +2)
[[ -n $statuses && $page == *"EXIT STATUS"*"$statuses"* ]] || fail "the man page does not have the exit statuses"
for command in journal journal-check journal-info journal-export; do
    [[ -s $scratch/manual/display-server-$command.1 ]] || fail "there is no page of $command"
done
# Checks that a shell completes with the generated file.
completed=$(bash -c 'source "$1"; COMP_WORDS=(display-server --jour); COMP_CWORD=1
    [[ $(complete -p display-server) =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" display-server --jour display-server
    echo "${COMPREPLY[@]}"' bash "$scratch/manual/display-server.bash")
[[ $completed == "--journal --journal-size" ]] || fail "bash completes --jour to '$completed'"
version=$("$program" --version)
date=$(sed -n 's/^\.TH .* \([0-9]\{4\}-[0-9-]*\) .*/\1/p' <<<"$page")
grep -qxF "## [${version#* }] - $date" CHANGELOG.md || fail "CHANGELOG.md has no '## [${version#* }] - $date', which the man page says"
! grep -q manual <<<"$help" || fail "--help shows a command that is for packaging only"
echo "${#options[@]} options in the man page and in the completions of three shells"
