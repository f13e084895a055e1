"""Memory that ran out, on a processor or a GPU, recognised by the messages of the libraries. No torch."""

from __future__ import annotations

import re

from rs.errors import UserError

# torch on a processor and the operating system: "can't allocate memory", "Cannot allocate memory";
# onnxruntime: "Failed to allocate memory for"; OpenVINO: "Failed to allocate 64 bytes of memory"; CUDA: "out
# of memory"; its libraries: "CUBLAS_STATUS_ALLOC_FAILED"; C++: "std::bad_alloc"
_SAID = re.compile(r"allocate\b.*\bmemory|out of memory|ALLOC_FAILED|bad_alloc")


def ran_out(error: BaseException) -> bool:
    """Whether an allocation of memory failed."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if not isinstance(error, Exception) or isinstance(error, (UserError, ImportError)):
        return False  # a loader without "memory in static TLS block" needs another order of imports
    return bool(_SAID.search(str(error)))


def how_much(error: BaseException) -> str:
    """The line of the error that states the failed allocation, else its first one, cut to 200 characters; the
    error's type if it has no text.
    """
    lines = str(error).splitlines()
    reason = next((line for line in lines if _SAID.search(line)), lines[0] if lines else "")
    return (reason.strip() or type(error).__name__)[:200]
