"""The access of nodes to etcd: three requests, each signed for one key and value.

In: a node's request. Out: etcd's answer, or a refusal. Touched: the signed key.
"""
