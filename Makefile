# Two commands matter: `make demo` and `make test`. Each makes its own environment in .venv first.
.DEFAULT_GOAL := help
PY := .venv/bin/python
FILE ?=
DURATION ?=
PORT ?= 7800
PYTEST_ARGS ?=

.PHONY: help demo test lint bench docs format lock clean

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo:  ## stream speech through a room and listen: make demo [FILE=song.mp3] [DURATION=15] [PORT=7800]
	@tools/setup.sh
	@$(PY) -m roomtone demo $(if $(FILE),"$(FILE)") $(if $(DURATION),--duration $(DURATION)) --port $(PORT)

test:  ## run all tests: make test [PYTEST_ARGS="-k jitter"]
	@tools/setup.sh test
	$(PY) -m pytest $(PYTEST_ARGS)

lint:  ## ruff and mypy
	@tools/setup.sh test lint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench:  ## measure everything, with references: make bench [BENCH_ARGS="--quick"]
	@tools/setup.sh
	$(PY) bench/run.py $(BENCH_ARGS)

docs:  ## build the documentation into site/
	@tools/setup.sh docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

format:  ## rewrite the code in the house's format
	@tools/setup.sh test lint
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lock:  ## pin the newest versions of everything into requirements.lock
	@tools/lock.sh

clean:  ## remove what was made
	rm -rf .venv site dist build out bench/build .pytest_cache .mypy_cache .ruff_cache .hypothesis
