#!/usr/bin/env bash
# Runs shellcheck over every shell script, whatever its name.
. "$(dirname "$0")/common.bash"
need shellcheck shellcheck

scripts=()
while IFS= read -r file; do
    case $file in
    *.sh | *.bash) scripts+=("$file") ;;
    *.*) ;;
    *) if head -c 64 "$file" | head -n 1 | grep -qaE '^#!.*\b(ba)?sh\b'; then scripts+=("$file"); fi ;;
    esac
done < <(files '*')
[ "${#scripts[@]}" -gt 0 ]
echo "${#scripts[@]} scripts"
# SC2317 takes functions that are called by a trap or by name for dead code.
shellcheck -e SC2317 -x --source-path=SCRIPTDIR "${scripts[@]}"
