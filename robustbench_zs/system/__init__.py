"""What the operating system is asked for: files that appear whole, locks, worker processes, memory, threads."""
