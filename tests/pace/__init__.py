"""The pace against simulated services, on a clock that costs nothing."""
