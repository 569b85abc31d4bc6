//! What the door refuses, and that it serves on.
