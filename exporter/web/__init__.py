"""The HTTP server: listening sockets, connections, access control, and the pages themselves."""
