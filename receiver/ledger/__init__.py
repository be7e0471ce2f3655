"""The record of apps, releases and runs.

In: what is accepted and what becomes of it. Out: frozen rows. Touched: `$NAP_HOME/ledger.db`.
"""
