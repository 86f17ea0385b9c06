"""What one task does on one node; who comes, goes and is given up while a job changes a cluster."""
