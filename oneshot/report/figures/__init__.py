"""The figures of a sweep, one a file; `all_figures.py` lists and writes them."""
