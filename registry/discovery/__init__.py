"""The process that keeps the keys of live units in etcd.

In: what runners say over its socket. Out: keys with a TTL. Touched: the keys under `/services`.
"""
