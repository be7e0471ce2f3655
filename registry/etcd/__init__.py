"""etcd: the one that nap starts, and clients of its two APIs behind one protocol.

In: an endpoint, keys and values. Out: listings and watches.
Touched: the keys that are named, and the folder of the etcd that is started.
"""
