"""What the results of a sweep say: tables read, selected, averaged, printed and drawn.

`command.py` is the command analyze.py, `results.py` the tables as one object, `analysis/` what they
say in numbers, `figures/` what they show.
"""
