"""What is to be installed where an optional package is missing? Every error asks here.

The answer names the packages, not this distribution: that is right in a clone, too, and for a
project which is in no index, where its name could be anybody's.
"""

# The optional dependencies of pyproject.toml that code here asks for by name.
EXTRAS = {
    "draw": ("pygraphviz>=2",),
    "jit": ("numpy>=1.26", "llvmlite>=0.44"),
    "train": ("matplotlib>=3.9", "scikit-learn>=1.4"),
    "torch": ("torch>=2.4",),
}


def to_install(extra: str) -> str:
    """The end of an error's text: the command that installs the packages of an extra.

    >>> to_install("jit")
    'pip install "numpy>=1.26" "llvmlite>=0.44" (the extra jit)'
    """
    packages = " ".join(f'"{package}"' for package in EXTRAS[extra])
    return f"pip install {packages} (the extra {extra})"
