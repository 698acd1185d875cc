"""Tools of the people who work on the app; `make` runs them."""
