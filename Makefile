# `make demo` shows Patchline at work, `make test` runs its tests; both need only Python 3.11 or newer.

PYTHON ?= python3
VENV ?= .venv
TOOLS := .tools
BIN := $(VENV)/bin
# --no-compile: Python compiles what runs; compiling all that never does would take another 80 MB.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
DEMO_FLAGS ?=
TEST_FLAGS ?=
# One worker more than cores: a third of the time of tests that start processes is waiting for these. A worker that runs
# out of tests takes some of another's, unless DIST=loadfile keeps each file on one worker, for those that share what is
# expensive (pytest 9.2 does not hear of xdist's groups).
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
DIST ?= worksteal
PYTEST := $(BIN)/python -m pytest
PARALLEL = --numprocesses $(WORKERS) --dist $(DIST)
# One thread for OpenBLAS, OpenMP and OpenCV each: theirs wait by spinning, which slows workers that share the cores.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OPENCV_FOR_THREADS_NUM=1
# Folders of tests lie in memory where 4 GB of it are free: on a disk thousands of writes wait to be synced.
IN_MEMORY := $(shell [ -w /dev/shm ] && [ $$(df --output=avail /dev/shm | tail -n 1) -gt 4000000 ] \
	&& echo PYTEST_DEBUG_TEMPROOT=/dev/shm)
# Empty is unset: without bytecode files each of the many processes compiles every package again, a second or two each.
export PYTHONDONTWRITEBYTECODE :=
TRIALS ?= 5
EXTRAS ?= cpu
# Of the extras for a GPU there are constraints of their own: EXTRAS=gpu CONSTRAINTS=constraints-gpu.txt
CONSTRAINTS ?= constraints.txt
LEDGER ?= faults.jsonl
RECORDS ?= 10000

.PHONY: demo test quick faults fuzz overload wheelhouse audit sbom gpu-libraries check screenshots clean

demo: $(VENV)/.installed-demo
	$(BIN)/patchline demo --json patchline-demo/demo.json $(DEMO_FLAGS)

test: $(VENV)/.installed-dev
	$(IN_MEMORY) $(ONE_THREAD) $(PYTEST) $(PARALLEL) $(TEST_FLAGS)

# The tests that start no process and take half a second at most: for every change while you write it.
quick: WORKERS = auto
quick: $(VENV)/.installed-dev
	$(IN_MEMORY) $(ONE_THREAD) $(PYTEST) $(PARALLEL) --quiet -m 'not process and not slow' $(TEST_FLAGS)

# The long run: each fault alone, TRIALS times, into LEDGER, which it goes on with; needs PATCHLINE_TEST_KAFKA_HOME.
faults: $(VENV)/.installed-dev
	$(BIN)/python -m tests.e2e.faults --trials $(TRIALS) --ledger $(LEDGER)

# Ten times more frames than can be scored, for five minutes; prints what the inspection held in memory.
overload: $(VENV)/.installed-dev
	PATCHLINE_TEST_OVERLOAD_SECONDS=300 $(PYTEST) -s -q tests/e2e/test_overload.py

# 10,000 frames and headers, mutated, to services on a real Kafka; needs PATCHLINE_TEST_KAFKA_HOME.
fuzz: $(VENV)/.installed-dev
	PATCHLINE_TEST_FUZZ_RECORDS=$(RECORDS) $(PYTEST) -q tests/e2e/test_fuzz.py

# All that a machine without internet needs: docs/install.md.
wheelhouse: | $(BIN)/python
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) \
		--wheel-dir wheelhouse '.[$(EXTRAS)]'

# Known vulnerabilities of the pinned versions; asks pypi.org, so it runs where that can be reached.
audit: $(TOOLS)/.installed
	$(TOOLS)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

# Reads the pinned GPU wheels again (5 GB, one at a time): which library is in which. After a change of their pins.
gpu-libraries: $(TOOLS)/.installed
	for set in gpu gpu-cu12; do \
		$(TOOLS)/bin/python -m tests.deploy.gpu_libraries.read_wheels $$set > $(TOOLS)/$$set.json \
			&& mv $(TOOLS)/$$set.json tests/deploy/gpu_libraries/$$set.json || exit 1; \
	done

# What an installation consists of, as CycloneDX: sbom.json.
sbom: $(TOOLS)/.installed
	rm -rf $(TOOLS)/sbom
	$(PYTHON) -m venv --without-pip $(TOOLS)/sbom
	$(TOOLS)/bin/python -m pip --python $(TOOLS)/sbom/bin/python install --quiet --disable-pip-version-check \
		--no-compile --constraint constraints.txt '.[$(EXTRAS)]'
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file sbom.json $(TOOLS)/sbom/bin/python

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every page of the console over a running demo, and those that README shows; needs Debian's chromium.
screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m tests.browser.screenshots patchline-screenshots

clean:
	rm -rf $(VENV) patchline-demo patchline-screenshots patchline-bench wheelhouse build $(TOOLS) sbom.json *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Patchline needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[cpu,demo]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[cpu,demo,dev]'
	@touch $@ $(VENV)/.installed-demo

# Apart from .venv: what they need must not decide over what Patchline is tested with.
$(TOOLS)/.installed: | $(BIN)/python
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=24' 'pip-audit>=2.7,<3' 'cyclonedx-bom>=7,<8' \
		'pyelftools>=0.31,<1'
	@touch $@
