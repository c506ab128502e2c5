"""What runs on board of each satellite (the paper's Figure 4: Recognizer, Selector, Arbiter, Filter)."""

import constellation  # noqa: F401  says where the compiled kernels are kept, before numba is imported
