"""The catalogue of mutants: one module for each part of the promise."""

import importlib
import pkgutil

from tests.mutants.mutant import Mutant


def mutants() -> tuple[Mutant, ...]:
    """Return every mutant of every module here."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(mutant for module in modules for mutant in module.MUTANTS)
