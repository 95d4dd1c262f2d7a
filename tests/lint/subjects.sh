#!/bin/sh
# Subjects of commits since this check came: "module: imperative", 70 columns at most, no full stop.
# Usage: subjects.sh [SOURCE_ROOT]. 77 (skipped) outside of a repository with history.
set -eu
cd "${1:-.}"
first=$(git log --diff-filter=A --format=%H -- tests/lint/subjects.sh 2> /dev/null | tail -n 1)
if [ -z "$first" ]; then
    echo "skipped: no history here"
    exit 77
fi
git log --no-merges --format=%s "$first"..HEAD | {
    bad=0
    while IFS= read -r subject; do
        why=
        [ "${#subject}" -le 70 ] || why="more than 70 columns"
        # folders or files, with commas between them
        printf '%s\n' "$subject" | grep -Eq '^[A-Za-z0-9_./-]+(, [A-Za-z0-9_./-]+)*: [^ ]' ||
            why="not \"module: imperative\""
        case $subject in
        *.) why="a full stop at the end" ;;
        *[Ww][Ii][Pp]*) why="unfinished work" ;;
        esac
        [ -z "$why" ] || { echo "$why: $subject"; bad=1; }
    done
    exit "$bad"
}
