"""What the page of one server shows, derived from its report and its history. Pure."""
