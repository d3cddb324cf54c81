"""The pytest side: options, rounds, journal, the bridge to pytest-benchmark, gates and what the terminal shows."""
