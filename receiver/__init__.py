"""The receiver: takes a push, builds and runs it, and reports in lines of text.

In: the input of git's hooks, and the `nap` command's requests. Out: lines for the person who pushed,
and the ledger's records. Touched: files under nap's home, and nothing outside it.
"""
