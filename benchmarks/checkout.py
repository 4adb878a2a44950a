"""Importing this puts the packages of this checkout, and its tests' helpers, in front of what is installed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

for _folder in (ROOT / "tests", ROOT):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
