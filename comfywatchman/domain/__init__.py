"""The words of the field, as values. No room is below this one."""
