"""The product's face: runs, results, reports, studies, command line."""
