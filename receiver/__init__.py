"""A push comes in, lines go out.

In: what git's hooks hand over, and the `nap` command's requests. Out: lines for the person who pushed,
and the ledger's records. May be touched: everything under nap's home, and nothing outside it.
"""
