"""Looking after clusters that nobody is working on."""
