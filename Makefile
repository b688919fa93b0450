# SPDX-License-Identifier: LGPL-3.0-or-later
#
# Short names for what is done often. CMake with its presets builds; this file builds nothing itself.
.DEFAULT_GOAL := help

# LAB=off (and on) is for setup and check. To the lab itself LAB is the name of an instance.
lab_environment = $(if $(filter on off,$(LAB)),env -u LAB)

.PHONY: help setup build check demo rules fuzz faults soak bench bench-quick lint format lab-up lab-down dist clean

help: ## this list
	@echo "windows-redirector: make <target>"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what this machine lacks (as root) and say what it has
	@scripts/setup.sh

build: setup ## DLL, archive and program for Windows, into build/mingw-release
	@scripts/build.sh mingw-release
	@echo "built: build/mingw-release/windows_redirector.dll, libwindows_redirector.a, redirector.exe"

check: setup ## every test; ends "N passed, N failed" (LAB=off: without the lab)
	@tests/run

demo: setup ## Windows programs, redirected, on real traffic, in the lab
	@scripts/build.sh mingw-release lab
	@$(lab_environment) demo/run

rules: setup ## every rule by its scenarios in the lab, a line per rule (LONG=1: the long forms)
	@scripts/build.sh mingw-release lab
	@$(lab_environment) tests/e2e/run --rules $(if $(LONG),--long)

fuzz: ## every fuzz target for MINUTES (10); what is found is kept in build/fuzz
	@scripts/build.sh native-fuzz
	@fuzz/run --minutes $(or $(MINUTES),10)

faults: setup ## everything that can go wrong, a line per case, and build/faults.txt (ten minutes)
	@$(lab_environment) tests/faults/run

soak: setup ## connections and faults for MINUTES (30): nothing breaks without a cause, nothing grows; build/soak.txt
	@$(lab_environment) tests/soak/run --minutes $(or $(MINUTES),30)

bench: setup ## what redirection costs (docs/performance.md): a table, and build/bench.json (a quarter of an hour)
	@$(lab_environment) bench/run

bench-quick: setup ## the same in short, less than three minutes
	@$(lab_environment) bench/run --quick

lint: ## layout, static analysis, shell scripts, Go
	@scripts/lint.sh

format: ## lay out the C files
	@scripts/lint.sh --fix

lab-up: setup ## bring the lab up and leave it up (see lab/README.md)
	@scripts/build.sh mingw-release lab
	@$(lab_environment) lab/lab up

lab-down: ## take the lab down
	@$(lab_environment) lab/lab down

dist: setup ## all artefacts of a release, in build/dist, the same bit for bit wherever they are made
	@packaging/dist

clean: ## remove build/
	rm -rf build
