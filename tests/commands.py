"""Runs the project's commands as a user does, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(module, *args, **options):
    """`python -m MODULE ARGS` in the root of the repository; options are those of subprocess.run"""
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)
