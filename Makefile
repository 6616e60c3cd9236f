PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: test test-slow lint demo
.DELETE_ON_ERROR:

.venv/done: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements.txt
	touch $@

test: .venv/done lint
	$(BIN)/python -m pytest

test-slow: .venv/done
	$(BIN)/python -m pytest -m slow

lint: .venv/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
