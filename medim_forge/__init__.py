"""MeDiM Forge: synthetic medical image-report pairs at scale.

Installed, the packages `generator`, `model` and `jobs` lie in this folder. In a checkout they lie beside it, and are
found there by the path below.
"""

from pathlib import Path

__version__ = "0.1.0"

_HERE = Path(__file__).resolve().parent
if not (_HERE / "generator").is_dir():
    __path__.append(str(_HERE.parent))
