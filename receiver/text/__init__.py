"""Text for people: tables and times, output line by line, heartbeats; control characters are escaped.

In: values and bytes. Out: lines. Nothing is touched.
"""
