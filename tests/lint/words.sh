#!/usr/bin/env bash
# Fails on words that have no place in the project: notes of unfinished work, and traces of
# how or where a text was written. Brackets keep this file from matching itself.
. "$(dirname "$0")/common.bash"

mapfile -t all < <(files '*' | grep -v '^LICENSE$')
mapfile -t code < <(files '*.c' '*.h' '*.lua' '*.js' '*.mjs' '*.css' '*.sh' '*.bash' '*.cmake')
[ "${#code[@]}" -gt 0 ]
bad=0

if grep -nIE '\b(TOD[O]|FIXM[E]|XX[X])\b|not implemente[d]' "${code[@]}"; then
    echo "finish it or leave it out; an open end belongs into an issue" >&2
    bad=1
fi
if grep -nIiE 'sub[a]gent|claude[ ]code|chat[g]pt([^-]|$)|[/]work[/]|[.][.]/shared|as an [a]i\b' "${all[@]}"; then
    echo "the project stands on its own: leave this out" >&2
    bad=1
fi
exit $bad
