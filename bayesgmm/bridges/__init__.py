"""Ways to other libraries, each imported when it is called."""
