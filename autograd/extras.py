"""What should be installed if an optional package is missing? Every error message asks here.

The answer names the packages, not this distribution, so it is also right in a clone. The project is
not published in a package index, where its name may belong to somebody else.
"""

# The optional dependencies in pyproject.toml that error messages ask for.
EXTRAS = {
    "draw": ("pygraphviz>=2",),
    "jit": ("numpy>=1.26", "llvmlite>=0.44"),
    "train": ("matplotlib>=3.9", "scikit-learn>=1.4"),
    "torch": ("torch>=2.4",),
}


def to_install(extra: str) -> str:
    """Return the end of an error message: the command that installs the packages of an extra.

    >>> to_install("jit")
    'pip install "numpy>=1.26" "llvmlite>=0.44" (the extra jit)'
    """
    packages = " ".join(f'"{package}"' for package in EXTRAS[extra])
    return f"pip install {packages} (the extra {extra})"
