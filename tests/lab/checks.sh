# SPDX-License-Identifier: LGPL-3.0-or-later
# For suites in shell: counts checks, and those that a Windows program in the lab makes. $work is a folder for what
# programs print; lab/lib/suite.sh makes one.

passed=0
failed=0

ok() {
    passed=$((passed + 1))
    echo "ok $1"
}

# fail WHY [LOG]
fail() {
    failed=$((failed + 1))
    [ -z "${2-}" ] || sed 's/^/    /' "$2" | tail -40
    echo "FAIL $1"
}

# check NAME COMMAND...: passes if the command does.
check() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1 </dev/null; then
        ok "$name"
    else
        fail "$name: $(tail -n 5 "$work/out" | tr '\n' ' ')" "$work/out"
        return 1
    fi
}

# windows_checks SECONDS PROGRAM [ARGUMENT...]: a program that prints a line "ok ..." or "FAIL ..." for each check, and
# their count at the end. Its output goes to a file: Wine's background services inherit it and would keep a pipe open.
# Under Wine a crash may well end with status 0, so the count at the end is what is believed.
windows_checks() {
    local limit=$1
    shift
    timeout "$limit" "$root/lab/lab" wine "$@" >"$work/out" 2>&1 </dev/null
    count_checks "$1 ended with status $?" "$work/out"
}

# count_checks COMPLAINT FILE: the checks that such a program has printed; the complaint is for one without a good end.
count_checks() {
    local text=$work/checks good bad
    tr -d '\r' <"$2" >"$text"
    grep -E '^(ok|FAIL|     )' "$text"
    good=$(grep -c '^ok ' "$text")
    bad=$(grep -c '^FAIL ' "$text")
    passed=$((passed + good))
    failed=$((failed + bad))
    tail -1 "$text" | grep -qx "$good passed, $bad failed" || fail "$1" "$text"
}

# closing_count: the last line, and the status of the suite.
closing_count() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
