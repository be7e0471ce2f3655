"""The receiver as a process: started, stopped, and asked over its socket.

In: requests. Out: JSON and streams of it. Touched: the home's sockets, its log and its pid.
"""
