"""Official sources to raw files that a reader reads: resumed, throttled, checked, unpacked safely.

A package of its own above `data`, so that a change here makes no stage run again.
"""
