"""Choose the verification backend of a process."""

from __future__ import annotations

from signatures.backend import Backend
from signatures.portable import PortableBackend


def load_backend(name: str | None = None) -> Backend:
    """Return the backend of that name; without one the kernel if it is installed, else portable.

    Raises ImportError if the kernel is asked for and not installed, and ValueError for any name
    but "kernel" and "portable".
    """
    if name not in (None, "kernel", "portable"):
        raise ValueError(f'unknown backend {name!r}: use "kernel" or "portable"')
    if name == "portable":
        return PortableBackend()
    try:
        # Imported late: without the kernel, this module's import fails.
        from signatures.native import KernelBackend
    except ImportError:
        if name == "kernel":
            raise
        return PortableBackend()
    return KernelBackend()


def kernel_instructions() -> str:
    """Return the set of instructions that the kernel uses, "ifma" for one; "" without the kernel.

    Raises RuntimeError where the setting QAGAZSYZ_KERNEL_INSTRUCTIONS names none.
    """
    try:
        import qagazsyz_kernel
    except ImportError:
        return ""
    return str(qagazsyz_kernel.instructions())
