"""The report of an atlas: hundreds of schemes in two halves, one to search and one to test."""
