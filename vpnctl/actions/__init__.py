"""The verbs, one file per noun. A verb is one transaction; `settle` alone changes nodes."""
