"""Thousands of requests of every outcome, counted by their clients and by their functions: the metrics and
the log lines must say the same, exactly.
"""
