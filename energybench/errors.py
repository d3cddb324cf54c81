"""What energybench says when something is wrong: what it was, where, and what to do about it.

The command line prints the text and exits; the pytest plugin turns it into a usage error or a test failure. Every
message is one or two plain sentences that name the thing at fault and the remedy.
"""

from __future__ import annotations


class EnergybenchError(Exception):
    """Base of every error that energybench raises on purpose; the command line shows its text and exits with 2."""


class UsageError(EnergybenchError):
    """An option, marker or argument is wrong: unknown name, value out of range, an impossible combination."""


class StoreError(EnergybenchError):
    """A run cannot be found, read or written: no such run, torn JSON, a foreign file, a folder without rights."""


class MeterError(EnergybenchError):
    """A meter that was asked for by name cannot be opened, or a reading that must exist does not."""


class DataError(EnergybenchError):
    """A data set or a file of weights cannot be used: no images at the path, wrong classes, wrong shape."""


class CompressionError(EnergybenchError):
    """A compressor cannot do what it was asked: parameter out of range, nothing to compress, tolerance unreachable."""
