"""The record of apps, releases and runs.

In: accepted runs and their changes. Out: frozen rows. Touched: `$NAP_HOME/ledger.db`.
"""
