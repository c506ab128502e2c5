"""Learned image compression: one definition for both ends of the downlink."""

import constellation  # noqa: F401  says where the compiled kernels are kept, before numba is imported
