"""The process that keeps the keys of live units in etcd.

In: lines from runners over its socket. Out: keys with a TTL. Touched: the keys under `/services`.
"""
