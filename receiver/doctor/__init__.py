"""What is missing on this machine, and which package brings it.

In: the machine and the home. Out: findings. Nothing is touched.
"""
