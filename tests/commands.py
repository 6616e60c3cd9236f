"""Runs the project's commands as a user does, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(module, *args, cwd=ROOT, **options):
    """`python -m MODULE ARGS`, elsewhere than in the repository with `cwd`; options are those of
    subprocess.run"""
    command = [sys.executable, "-m", module, *map(str, args)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, **options)
