"""Runs code that was written for CUDA on another device, for as long as a `with` lasts.

    with redirect("cpu"):
        model = library.load(path).cuda()  # on the CPU, wherever the file was saved

docs/redirect.md says what is covered, and what is not.
"""

from engines.runtime.redirect.scope import redirect, redirected

__all__ = ["redirect", "redirected"]
