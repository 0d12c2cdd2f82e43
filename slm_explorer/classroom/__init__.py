"""Class mode: a teacher's screen and many students' screens over the same models."""
