"""Loads the plugin from a bare checkout; an installed copy carries the same name and is not loaded twice."""

pytest_plugins = ["energybench.plugin", "pytester"]
