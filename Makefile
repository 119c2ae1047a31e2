# Everything a newcomer needs: `make demo` and `make test` do all their set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
TESTS := $(VENV)/.tests
SECONDS := 600
STREAMS := 40
FUZZ_SECONDS := 60

.PHONY: help demo test test-all-pythons check audit coverage simulate model fuzz soak figures bench bench-compare format docs layer release clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Each installs what it needs into $(VENV) first. Another Python: make clean, then PYTHON=python3.12 behind the target."

demo: $(RUNS)  ## one page at http://127.0.0.1:8080/: the same answer buffered and streamed, side by side
	$(BIN)/python deploy/examples/demo/run.py

test: $(TESTS)  ## the whole test suite (installs chromium where it may)
	@tests/install_system_packages.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all-pythons: $(TESTS)  ## the whole suite on 3.11, 3.12 and 3.13, as far as they are here, pyenv's too; asks pip's index
	$(BIN)/python -m tests.interpreters

check: $(TESTS)  ## format, lint, types, import contracts, dependencies that are missing or not used
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/deptry gateway lambda_client protocol --optional-dependencies-dev-groups test

audit: $(RUNS)  ## known vulnerabilities of everything that is pinned; asks pypi.org, so it is no part of check
	$(PYTHON) -m venv $(VENV)-3.audit
	$(VENV)-3.audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)-3.audit/bin/pip-audit --strict --disable-pip --no-deps --requirement deploy/constraints.txt

coverage: $(TESTS)  ## the wire is covered by its own tests to the last branch, or this fails
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run --source=protocol -m pytest -q tests/protocol
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --skip-covered --show-missing --fail-under=100

format: $(TESTS)  ## put every file into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

simulate: $(TESTS)  ## whole exchanges under random faults in virtual time: COUNT=20000
	$(BIN)/python -m tests.simulation --count $(or $(COUNT),20000) --reached

model: $(TESTS)  ## every state of larger worlds, and longer random runs of both ends; ten minutes
	$(BIN)/python -m tests.model
	DIALBACK_EXAMPLES=5000 DIALBACK_WALKS=20000 $(BIN)/python -m pytest -q tests/protocol/test_stream_machine.py tests/protocol/test_stream_walks.py

fuzz: $(TESTS)  ## FUZZ_SECONDS=60 for each parser; a finding is kept, with the command that replays it
	$(BIN)/python -m tests.fuzz --all --seconds $(FUZZ_SECONDS)

soak: $(TESTS)  ## STREAMS=40 real functions under random faults for SECONDS=600, every byte compared
	$(BIN)/python -m tests.soak --seconds $(SECONDS) --streams $(STREAMS)

figures: $(TESTS)  ## measure what is promised of cuts, cancels, endings, slow readers, ...; some six minutes
	$(BIN)/python -m tests.soak.figures

bench: $(TESTS)  ## measure beside plain aiohttp and nginx in one run; some minutes (ONLY=ttfb,bulk: a part)
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

bench-compare: $(TESTS)  ## this work tree beside another commit, REV=main: what got faster (ONLY=ttfb-10,bulk)
	$(BIN)/python -m tests.benchmarks.compare $(or $(REV),$(error say what to compare this work tree with: make bench-compare REV=main)) $(if $(ONLY),--only $(ONLY))

docs: $(TESTS)  ## write again what docs/ takes from the code (the state diagram, the fault matrix)
	$(BIN)/python -m tests.generated_docs

layer: $(RUNS)  ## the Lambda layer for both architectures, in dist/: LAYER_PYTHON=3.N for another runtime
	$(BIN)/python deploy/layer.py $(if $(LAYER_PYTHON),--python $(LAYER_PYTHON))

release: $(TESTS)  ## wheel, sdist, every layer and their sums, checked, in dist/; the same bytes every time
	$(BIN)/python deploy/release.py

clean:  ## forget the virtual environment and every cache
	rm -rf $(VENV) $(VENV)-3.* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What runs dialback, which is all that `make demo` waits for; then what its tests and tools need.
$(RUNS): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("dialback needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (choose another: make PYTHON=python3.12 ...)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python deploy/install.py gateway,local,aws,speedups
	@touch $@

$(TESTS): $(RUNS)
	@$(BIN)/python deploy/install.py gateway,local,aws,speedups,test
	@touch $@
