"""Readers of the texts in images, sound, films, shapes and tensors, one module for each layout.

None decodes what the file is about; each seeks from header to header and reads the texts only. A
reader yields a key and its text (UTF-8), and raises where the file breaks off or lies; what it
yielded before that counts.
"""
