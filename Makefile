# The verbs, the same for people and for CI.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests mostly wait.  Beside each other they need a loopback each, which takes a network namespace.
BESIDE = $(shell unshare --net true 2>/dev/null && printf '%s' '-n 3 --dist loadfile --max-worker-restart 3')

.PHONY: demo test check bench docs fmt setup system clean

demo: setup
	$(BIN)/gslb demo

test: setup system
	sh .ci/native test --manifest-path native/Cargo.toml --locked --quiet
	$(BIN)/pytest -q $(BESIDE) --cov --cov-report=term:skip-covered --cov-fail-under=100

check: setup
	sh .ci/native fmt --manifest-path native/Cargo.toml --check
	sh .ci/native clippy --manifest-path native/Cargo.toml --locked --quiet --all-targets --features python -- -D warnings
	$(BIN)/ruff format --check gslb tests bench data docs
	$(BIN)/ruff check gslb tests bench data docs
	$(BIN)/mypy
	sh .ci/stubs $(BIN)/python
	$(BIN)/pytest -q -p no:cacheprovider tests/test_architecture.py tests/test_docs.py

bench: setup
	$(BIN)/python -c "import dnslib, matplotlib" 2>/dev/null || $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m bench

docs: setup
	$(BIN)/python -m docs.reference
	$(BIN)/python -m docs.tree

fmt: setup
	$(BIN)/ruff format gslb tests bench data docs
	$(BIN)/ruff check --fix gslb tests bench data docs
	sh .ci/native fmt --manifest-path native/Cargo.toml

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml native/Cargo.toml native/Cargo.lock $(wildcard native/src/*.rs native/src/*/*.rs)
	sh .ci/venv "$(PYTHON)" "$(VENV)"
	touch $@

system:
	sh .ci/system

clean:
	rm -rf $(VENV)
