"""Mutants: the guards of the promise taken out of our own code one by one, and the tests that notice."""
