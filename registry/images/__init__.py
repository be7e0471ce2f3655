"""Images: as records, in a registry over HTTP, and in the registry that nap starts.

In: addresses and digests. Out: images.
Touched: the repositories of the home's apps, and the registry's folder.
"""
