"""What people and admins are told, and what they press."""
