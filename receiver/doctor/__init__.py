"""Finds what is missing on this machine, and the package that has it.

In: the machine and the home. Out: findings. Nothing is touched.
"""
