#!/usr/bin/env bash
# Fails on a function over 60 lines or 6 parameters, a file over 600 lines, or a line of C
# over 100 columns. There is no list of exceptions.
. "$(dirname "$0")/common.bash"
need ctags universal-ctags
ctags --version | grep -q Universal || need universal-ctags universal-ctags

mapfile -t sources < <(files '*.c')
mapfile -t c_files < <(files '*.c' '*.h')
mapfile -t all < <(files '*.c' '*.h' '*.lua' '*.js' '*.mjs' '*.css')
[ "${#sources[@]}" -gt 0 ]
bad=0

# ctags writes: name, file, pattern, kind, and "key:value" fields.
ctags --quiet --fields=+neS --kinds-C=f -o - "${sources[@]}" | awk -F'\t' '
    function parameters(signature,   i, c, depth, n) {
        gsub(/^\(|\)$/, "", signature)
        if (signature == "" || signature == "void") return 0
        n = 1
        for (i = 1; i <= length(signature); i++) {
            c = substr(signature, i, 1)
            if (c == "(") depth++
            else if (c == ")") depth--
            else if (c == "," && depth == 0) n++
        }
        return n
    }
    /^!/ { next }
    {
        first = last = 0; signature = ""
        for (i = 4; i <= NF; i++) {
            if ($i ~ /^line:/) first = substr($i, 6)
            if ($i ~ /^end:/) last = substr($i, 5)
            if ($i ~ /^signature:/) signature = substr($i, 11)
        }
        if (last - first + 1 > 60) { print $2 ":" first ": " $1 " has " last - first + 1 " lines, most is 60"; bad = 1 }
        if (parameters(signature) > 6) { print $2 ":" first ": " $1 " has " parameters(signature) " parameters, most is 6"; bad = 1 }
    }
    END { exit bad }' >&2 || bad=1

wc -l "${all[@]}" | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines, most is 600"; bad = 1 }
    END { exit bad }' >&2 || bad=1
awk 'length($0) > 100 { print FILENAME ":" FNR ": " length($0) " columns, most is 100"; bad = 1 }
    END { exit bad }' "${c_files[@]}" >&2 || bad=1
exit $bad
