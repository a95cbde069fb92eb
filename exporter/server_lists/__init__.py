"""Lists of servers from files and URLs, read again and again; the last good content of each counts."""
