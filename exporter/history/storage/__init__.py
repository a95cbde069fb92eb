"""Where the history is stored: an SQLite database, in a file or in memory, in a thread of its own."""
