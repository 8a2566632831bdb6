"""The layout, the documents, the demo."""
