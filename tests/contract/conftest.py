"""Lets the contract tests import the helpers that stand beside the other tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
