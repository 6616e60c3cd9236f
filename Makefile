# The newest Python that there is; TensorFlow has no wheels for a newer one.
ifndef PYTHON
PYTHON := $(shell for minor in 13 12 11; do python3.$$minor -c "" 2>/dev/null && \
    echo python3.$$minor && break; done)
endif
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: test test-slow test-clients lint demo
.DELETE_ON_ERROR:

$(VENV)/done: requirements.txt
	@test -n "$(PYTHON)" || { echo "error: no python3.11, python3.12 or python3.13 runs here: \
	install one, or type make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements.txt
	touch $@

# A process a core; some slow ones judge times and want the machine to themselves.
test: $(VENV)/done lint
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/done
	$(BIN)/python -m pytest -n auto --dist worksteal -m "slow and not alone"
	$(BIN)/python -m pytest -m alone

lint: $(VENV)/done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# A synthetic dataset, a small network, a proven file; the image's path is printed last.
demo: $(VENV)/done
	test -d datasets/shapes || $(BIN)/python -m data shapes datasets/shapes
	$(BIN)/python train.py --data datasets/shapes --run runs/demo --preset tiny --size 96 96 \
	    --epochs 80 --learning-rate 0.005 --weights none
	$(BIN)/python -m export runs/demo

# Foreign runtimes, each in an environment of its own, tried on Debian 12, x86-64. Debian's packages
# are unpacked there, not installed. On the machine itself: libegl1 and libgles2 for MediaPipe, node
# with npm, java, and chromium for the tests in a browser.
.venv-mediapipe/done:
	$(PYTHON) -m venv .venv-mediapipe
	.venv-mediapipe/bin/pip install -q mediapipe==1.2.2
	touch $@

.clients/node/done:
	rm -rf $(@D)
	npm install --loglevel=error --no-audit --no-fund --prefix $(@D) \
	    @litertjs/core@2.5.3 @litertjs/wasm-utils@2.5.3
	touch $@

# Drives Chromium and judges the accessibility of the page of python -m export web.
.clients/page/done:
	rm -rf $(@D)
	npm install --loglevel=error --no-audit --no-fund --prefix $(@D) \
	    playwright-core@1.65.1 axe-core@4.14.1
	touch $@

.clients/types/done:
	rm -rf $(@D)
	npm install --loglevel=error --no-audit --no-fund --prefix $(@D) typescript@5.9.3
	touch $@

.clients/kotlin/done:
	rm -rf $(@D)
	npm install --loglevel=error --no-audit --no-fund --prefix $(@D) kotlin-compiler@2.4.20
	touch $@

# Chromium's package brings SwiftShader, a Vulkan in software.
.clients/vulkan/done:
	rm -rf $(@D)
	sh tests/clients/unpack_debs.sh $(@D) amd64 chromium-common
	cd $(@D)/usr/lib/chromium && mv libvulkan.so.1 *vk_swiftshader* ../../..
	rm -r $(@D)/usr
	touch $@

.clients/arm/done: | $(VENV)/done
	rm -rf $(@D)
	sh tests/clients/unpack_debs.sh $(@D) amd64 qemu-user-static
	mv $(@D)/usr/bin/qemu-aarch64-static $(@D)
	rm -r $(@D)/usr
	sh tests/clients/unpack_debs.sh $(@D)/root arm64 libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 \
	    liblzma5 libpython3.11-minimal libpython3.11-stdlib libssl3 libstdc++6 python3.11-minimal \
	    zlib1g
	$(BIN)/pip install -q --target $(@D)/site --no-deps --only-binary=:all: --python-version 311 \
	    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
	    --platform manylinux2014_aarch64 \
	    ai-edge-litert==2.3.0 ml_dtypes==0.6.0 numpy==2.4.6 opencv-python-headless==5.0.0.93 \
	    typing-extensions==4.16.0
	touch $@

# Swift is in Debian 13's packages, which need its libraries: swift.sh says how they are run here.
.clients/swift/done:
	rm -rf $(@D)
	SUITE=trixie sh tests/clients/unpack_debs.sh $(@D) amd64 libc6 libc6-dev libgcc-14-dev \
	    libgcc-s1 liblzma5 libncurses6 libsqlite3-0 libstdc++-14-dev libstdc++6 libswiftlang \
	    libtinfo6 libuuid1 libxml2 libzstd1 linux-libc-dev swiftlang zlib1g
	sh tests/clients/swift/swift.sh swiftc --version
	touch $@

# The tests of an environment that cannot be made here are skipped and say so. For kits made before:
# make test-clients KITS="runs/NAME/export/float32 runs/NAME/export/int8"
test-clients: $(VENV)/done
	-$(MAKE) -k .venv-mediapipe/done $(patsubst %,.clients/%/done,node page types kotlin swift vulkan arm)
	$(BIN)/python -m pytest -m clients -s -rs
