# SPDX-License-Identifier: LGPL-3.0-or-later
# For suites of tests that run Windows programs in a lab of their own. Source it with $root set and the first letters of
# the lab's name as argument, and `set -u`. It sets LAB, and $work, a folder that goes when the suite ends, as does the
# lab.

case ${LAB:-} in
"" | on | off) LAB=$1$$ ;; # on and off are words of make check, not the name of a lab
esac
export LAB
work=$(mktemp -d)
trap '"$root/lab/lab" down >/dev/null 2>&1 </dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

# give_up WHY [LOG]: ends the suite as failed.
give_up() {
    echo "FAIL $1"
    [ -z "${2-}" ] || sed 's/^/    /' "$2" | tail -40
    echo "0 passed, 1 failed"
    exit 1
}

# This machine can carry a lab, and nobody else has this one.
need_lab() {
    "$root/lab/lab" check >"$work/check" 2>&1 || give_up "$(cat "$work/check")"
    [ ! -e "$("$root/lab/lab" path)" ] || { trap 'rm -rf "$work"' EXIT; give_up "the lab $LAB is in use"; }
}

# Brings the lab up; $stage is the folder of its Windows programs.
raise_lab() {
    "$root/lab/lab" up >"$work/up" 2>&1 </dev/null || give_up "the lab does not come up" "$work/up"
    stage=$("$root/lab/lab" path)/win
}
