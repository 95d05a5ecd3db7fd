#!/usr/bin/env bash
# Fails when a folder includes one above it. The order below is the architecture.
. "$(dirname "$0")/common.bash"

order=(api scheduler storage limiter common)
bad=0
for i in "${!order[@]}"; do
    folder=${order[i]}
    for upper in "${order[@]:0:i}" tests; do
        if grep -rnE --include='*.[ch]' "#include [\"<]$upper/" "$folder"; then
            echo "$folder must not include $upper: api -> scheduler -> storage -> limiter -> common" >&2
            bad=1
        fi
    done
    # A path that climbs would pass by the rule above.
    if grep -rnE --include='*.[ch]' '#include "\.\.?/' "$folder"; then
        echo "include from the top folder: \"$folder/name.h\"" >&2
        bad=1
    fi
done
exit $bad
