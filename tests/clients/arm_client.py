"""Runs LiteRT's interpreter on an emulated ARM CPU: arm_client.py CPU MODEL INPUT OUTPUT.

CPU is a key of CPUS, QEMU's name of the processor.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parents[2] / ".clients" / "arm"
# Part number and features beyond ARMv8.0, as Linux shows them in /proc/cpuinfo. XNNPACK reads them
# to choose its kernels; under QEMU 7.2 it crashes if the file is missing.
CPUS = {
    "cortex-a53": ("0xd03", ""),
    "cortex-a76": ("0xd0b", "atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"),
}
CPUINFO = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 4
"""


def main(cpu: str, *words: str) -> int:
    """Runs a client, by default interpreter_client.py, under QEMU; returns its exit code."""
    part, features = CPUS[cpu]
    is_client = words[0].endswith(".py")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("lib", "usr"):
            (root / name).symlink_to(ENVIRONMENT / "root" / name)
        (root / "proc").mkdir()
        (root / "proc/cpuinfo").write_text(CPUINFO.format(part=part, features=features))
        # Without this, OpenBLAS starts one thread per processor of the host.
        settings = [f"PYTHONPATH={ENVIRONMENT / 'site'}", "OPENBLAS_NUM_THREADS=1"]
        qemu = [str(ENVIRONMENT / "qemu-aarch64-static"), "-cpu", cpu, "-L", folder]
        qemu += [arg for setting in settings for arg in ("-E", setting)]
        client = Path(__file__).with_name(words[0] if is_client else "interpreter_client.py")
        python = [str(root / "usr/bin/python3.11"), str(client)]
        return subprocess.run([*qemu, *python, *words[is_client:]]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
