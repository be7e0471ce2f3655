"""The receiver as a process: its start, its stop, and the API on its socket.

In: requests. Out: JSON and streams of it. Touched: the home's sockets, its log and its pid.
"""
