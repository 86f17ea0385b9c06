"""What is kept beside the clusters: who did what, how long they live, what tenants may have and have had."""
