"""The verbs of `nap`: arguments come in, calls to the receiver go out; no state of its own."""
