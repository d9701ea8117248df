# Every target does its own set-up in .venv; a bare Debian needs only: git make python3-venv
# (make bench also wants clang-19, libbpf-dev and bpftool, and says so).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LISTEN ?= 127.0.0.1:9091
ARGS   ?=

OBJECT_SOURCES := $(shell find src/skep -name '*.bpf.c')
OBJECTS        := $(OBJECT_SOURCES:.c=.o)

.DEFAULT_GOAL := help
.PHONY: help run test test-vm test-free-threaded fuzz lint bench objects check-objects docs dist clean

help:
	@echo "make run       load the default probes, serve http://$(LISTEN)/metrics   (root)"
	@echo "make test      every test that this machine's kernel can run            (root)"
	@echo "make test-vm   the kernel tests on Debian's 6.1 and 6.12 kernels, under QEMU"
	@echo "make test-free-threaded   the tests of maps and streams on a Python without a GIL"
	@echo "make fuzz      fuzz what reads ELF, BTF and code, FUZZ_SECONDS=600 on two processors"
	@echo "make lint      ruff, mypy --strict, import contracts, shipped objects are current"
	@echo "make bench     ratios against C peers built here"
	@echo "make objects   rebuild the tools' BPF objects with the pinned compiler"
	@echo "make docs      check that the documentation's links and snippets hold"
	@echo "make dist      the wheel and the source archive"
	@echo "make clean     remove what make made"

# One stamp per set of extras, so that `make run` does not install the test tools.
$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[agent]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.run

run: $(VENV)/.run
	exec $(BIN)/skep run --listen $(LISTEN) $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# First the runner itself, then the tests of the kernel in one guest for each series. Arguments
# that are paths replace these tests: make test-vm ARGS='tests/vm -k fentry'
test-vm: $(VENV)/.dev
	$(BIN)/python -m skep.vm --install
	$(if $(ARGS),,$(BIN)/python -m pytest -q tests/vm_runner)
	$(BIN)/python tests/in_guests.py $(ARGS)

# The interpreter is built from Debian's source, once; FREE_THREADED=python3.14t takes another.
FREE := .cache/free-threaded
FREE_THREADED ?= $(FREE)/python/bin/python3.13t

$(FREE)/python/bin/python3.13t: scripts/free_threaded.py
	$(PYTHON) $< $(FREE)/python
	@touch $@

$(FREE)/.tests: pyproject.toml $(FREE_THREADED)
	$(FREE_THREADED) -m venv $(FREE)/venv
	$(FREE)/venv/bin/python -m pip install --quiet --only-binary hypothesis,numpy,ziglang \
		--editable '.[cli,build]' hypothesis pytest pytest-timeout
	@touch $@

test-free-threaded: $(FREE)/.tests
	PYTHON_GIL=0 $(FREE)/venv/bin/python -m pytest -q \
		$(or $(ARGS),tests/unit/maps tests/kernel/maps tests/kernel/streams)

$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --editable '.[fuzz]' || { \
		echo "make fuzz needs atheris, which installs where it has a wheel: Linux on x86-64"; exit 1; }
	@touch $@

# Exit status 1 when something was found; docs/robustness.md.
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m fuzz $(ARGS)

lint: $(VENV)/.dev check-objects
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

objects: $(VENV)/.dev
	@for source in $(OBJECT_SOURCES); do \
		$(BIN)/skep build --compiler ziglang "$$source" -o "$${source%.c}.o" || exit 1; \
	done

# The committed objects must be what the pinned compiler makes of the committed sources.
check-objects: $(VENV)/.dev
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	for source in $(OBJECT_SOURCES); do \
		$(BIN)/skep build --compiler ziglang "$$source" -o "$$scratch/built.o" >/dev/null || exit 1; \
		cmp "$$scratch/built.o" "$${source%.c}.o" || { echo "$${source%.c}.o is stale: run make objects"; exit 1; }; \
	done; echo "$(words $(OBJECTS)) objects are what their sources say"

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/unit/docs tests/kernel/docs $(ARGS)

dist: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/out .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
