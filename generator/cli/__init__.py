"""The command line: what `medim` is asked for, and what it prints."""

from medim_forge.generator.cli.commands import main

__all__ = ["main"]
