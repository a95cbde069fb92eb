"""Server lists: file_sd files, and lists that are fetched over HTTP at regular intervals."""
