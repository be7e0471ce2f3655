"""Words for people: tables and times, output line by line, heartbeats, control characters escaped.

In: values and bytes. Out: lines. Nothing is touched.
"""
