# SPDX-License-Identifier: LGPL-3.0-or-later
# Sourced, never run. A repository that answers for the project's real one, for what is had by git.
# shellcheck shell=bash

# make_repository FOLDER ROOT TAG: FOLDER/repository has one commit with the files that a commit of ROOT's tree would
# have, with this tag. Git of whoever has GIT_CONFIG_GLOBAL=FOLDER/gitconfig takes it for the project's.
make_repository() {
    export GIT_CONFIG_GLOBAL=$1/gitconfig GIT_CONFIG_NOSYSTEM=1
    cat >"$GIT_CONFIG_GLOBAL" <<END
[user]
	name = nobody
	email = nobody@example.com
[url "file://$1/repository"]
	insteadOf = https://github.com/windows-redirector/windows-redirector
[init]
	defaultBranch = main
[advice]
	detachedHead = false
END
    mkdir "$1/repository" &&
        tar -C "$2" --exclude=./build --exclude=./.git --exclude=__pycache__ -c . | tar -C "$1/repository" -x &&
        git -C "$1/repository" init --quiet && git -C "$1/repository" add --all &&
        git -C "$1/repository" commit --quiet -m release && git -C "$1/repository" tag "$3"
}
