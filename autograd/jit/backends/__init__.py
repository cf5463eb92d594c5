"""Who carries out a plan? A backend: a class that is made of a `Plan` and has

    memory    an array of floats for all numbers of the plan, at their addresses. Whoever runs it
              writes arguments and leaves into it before, and reads the results after
    run()     compute every group of the plan once, in order. memory[0] is 0.0 after it if no
              operation raised; nan if one did, or if the result of an operation that may raise
              (it is not `total`) is not finite
    nbytes    the size of what drives it, in bytes, without the memory

numpy.py needs NumPy only. native.py compiles kernels with LLVM (kernels.py), from the code of each
primitive (emit.py). Both give the same bits: no backend may re-associate a sum, or use another
`exp` than Python's `math`.
"""
