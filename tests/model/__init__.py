"""The engine as an executable specification, searched exhaustively: `python -m tests.model`."""
