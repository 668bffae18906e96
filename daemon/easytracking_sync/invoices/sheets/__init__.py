"""One neutral sheet and its printers: text for a terminal, an HTML page, a PDF.

The sheet is built from an invoice in the reader's language; a printer knows blocks and texts, and no invoice.
"""
