"""Statistics of requests in constant memory: histograms, rows by URL, and summaries."""
