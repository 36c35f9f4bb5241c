# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Everything here sets up what it needs by itself: Debian packages and a virtual environment in .venv.

PYTHON3 ?= python3
PYTHON  := .venv/bin/python
SETUP   := $(PYTHON3) -B tests/rig/bootstrap.py
PYTEST  := $(PYTHON) -B -m pytest

.DEFAULT_GOAL := help
# Ansible insists on UTF-8; a fresh machine has no locale set.
export LC_ALL := C.UTF-8

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: setup-demo overlay ## boot a crashed host, rescue it, restore from what was rescued (needs root)
	@$(PYTHON) -B demo/demo.py

test: setup overlay ## every test: style, unit, Molecule, round trips, and the live VM where it is built already (needs root)
	@$(PYTEST) tests/unit tests/integration tests/vm

lint: setup ## ruff, mypy, ansible-lint, yamllint, ansible-test sanity
	@$(PYTEST) -q tests/integration/test_style.py

docs: setup ## the pages of docs/ and of every module and role as a site, into .cache/site/html
	@$(PYTHON) -B docs/site/build.py
	@echo .cache/site/html/index.html

sanity: setup ## ansible-test sanity over what the artifact holds: nothing ignored, nothing skipped
	@$(PYTHON) -B tests/sanity/run.py

faults: setup overlay ## the long fault campaign, more than 10,000 points; ASL_SEED=N repeats it (needs root)
	@cd tests && PYTHONPATH=../overlay/usr/local/lib:. ../$(PYTHON) -B -m faults --rounds 8 $(ASL_SEED:%=--seed %) --report ../reports/faults.json
	@ASL_KILLS=100 ASL_FLIPS=1000 ASL_BAD=500 ASL_BAD_MIB=1024 ASL_STOPS=20 $(PYTEST) -s tests/integration/test_kills.py tests/integration/test_flips.py tests/integration/test_bad_sectors.py

cuts: setup overlay ## 1,000 faults of the connection during intakes, 8 writers for 200 rounds, long fuzzing of the gateway (an hour)
	@ASL_CUTS=1000 ASL_ROUNDS=200 ASL_EXAMPLES=100 ASL_FUZZED=50000 $(PYTEST) -s tests/integration/test_gateway_cuts.py tests/integration/test_gateway_many.py

vm: setup-vm overlay ## a shell in a live rescue system with real OpenZFS (needs root; the first time builds for a quarter of an hour)
	@tests/vm/run shell

test-vm: setup-vm overlay ## every test in the live rescue system: real ZFS, real boots, power cuts (needs root)
	@ASL_VM=1 $(PYTEST) tests/vm

bench: setup-bench overlay ## the engine beside restic, borg and casync; ASL_BENCH=--quick is short (needs root, 8 GiB of /dev/shm)
	@cd tests && PYTHONPATH=../overlay/usr/local/lib:. ../$(PYTHON) -B -m bench $(ASL_BENCH)

overlay: setup-demo ## build libasl.so for x86_64 and aarch64
	@$(MAKE) -s --no-print-directory -C native PYTHON=$(CURDIR)/$(PYTHON)

build: setup-demo overlay ## the collection's artifact, into .cache/
	@.venv/bin/ansible-galaxy collection build --force --output-path .cache

setup: ## what make test needs
	@$(SETUP) test

setup-demo:
	@$(SETUP) demo

setup-bench:
	@$(SETUP) bench

setup-vm:
	@$(SETUP) vm

clean: ## what was built; keeps .venv and the images in the cache
	@$(MAKE) --no-print-directory -C native clean
	@rm -rf .cache reports

.PHONY: help demo test lint docs sanity faults cuts bench vm test-vm overlay build setup setup-demo setup-bench setup-vm clean
