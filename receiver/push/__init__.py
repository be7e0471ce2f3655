"""Git's side of a push: the hooks, what they and the daemon say to each other, what is refused.

In: what git hands to its hooks. Out: lines for the person who pushed. Touched: the app's refs.
"""
