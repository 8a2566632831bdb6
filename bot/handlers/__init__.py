"""What commands and buttons do: a few lines each, calling verbs and reports. They keep nothing, and reach no node."""
