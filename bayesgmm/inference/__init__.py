"""Ways to reach a posterior: the kernel that reads rows, the one loop, starts, restarts and moves."""
