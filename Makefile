PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: test test-slow test-clients lint demo
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

# A synthetic dataset, a small network, a proven file; the picture's path is printed last.
demo: .venv/done
	test -d datasets/shapes || $(BIN)/python -m data shapes datasets/shapes
	$(BIN)/python train.py --data datasets/shapes --run runs/demo --preset tiny --size 96 96 \
	    --epochs 80 --learning-rate 0.005 --encoder-weights none
	$(BIN)/python -m export runs/demo

# Foreign runtimes, each in an environment of its own. MediaPipe also needs libEGL and libGLES
# (Debian: libegl1 libgles2).
.venv-mediapipe/done:
	$(PYTHON) -m venv .venv-mediapipe
	.venv-mediapipe/bin/pip install -q mediapipe==1.2.2
	touch $@

test-clients: .venv/done .venv-mediapipe/done
	$(BIN)/python -m pytest -m clients -s
