"""The service layer that ui, server and command line share."""
