"""Studies: the file, its plan, its execution on this machine.

Nothing is imported here: the processes that train need neither reports nor tests.
"""
