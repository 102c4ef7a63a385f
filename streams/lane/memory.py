"""Memory that is free is given back to the machine: the C library keeps what a recovery has used for a moment."""

import ctypes


def give_back() -> None:
    """Give back what is free, where the C library can: glibc, so Linux but not Alpine."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
