"""What is known of each language, a family a file."""
