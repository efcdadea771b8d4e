"""Parts that several commands share: options, lines of progress, tables; they import no command."""
