"""Git's side of a push: the hooks, their protocol with the daemon, and the refusals.

In: the input of git's hooks. Out: lines for the person who pushed. Touched: the app's refs.
"""
