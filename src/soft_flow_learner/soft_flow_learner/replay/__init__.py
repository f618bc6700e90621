"""What has been experienced, and what updates see of it: storage, filters, windows, sampling, filling."""
