"""Which URL is requested next, and when: the pace of requests to each host."""
