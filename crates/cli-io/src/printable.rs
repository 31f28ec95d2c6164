//! Makes foreign text safe to print: text from a file, a header or another program.
