"""Which node each slave gets, who starts next, and why something does not fit.

In: what is asked for, and what is free. Out: places, or a sentence. Nothing is touched.
"""
